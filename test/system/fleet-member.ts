/**
 * A process of a fleet, for tests of several: caches over the redis that its first argument names, read as analytics are. Does what
 * its parent asks by messages, and tells of each computation.
 */
import type { Computed } from "../../src/cache/answer-producer.ts";
import { openCaches } from "../../src/cache/caches.ts";
import { type CacheMetrics, recordCacheMetrics } from "../../src/cache/metrics.ts";
import { ReadThrough } from "../../src/cache/read-through.ts";
import { type Clock, sleep, systemClock } from "../../src/runtime/clock.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { createMetrics } from "../../src/runtime/metrics.ts";
import type { MemberOptions, Request, Wave } from "./fleet-processes.ts";

// Written by fleet-processes.ts.
const options = JSON.parse(process.argv[2] ?? "{}") as MemberOptions;
const { clockOffsetMs } = options;
const clock: Clock = {
  wallMs: () => systemClock.wallMs() + clockOffsetMs,
  monotonicMs: () => systemClock.monotonicMs() + clockOffsetMs,
  schedule: (delayMs, callback, about) => systemClock.schedule(delayMs, callback, about),
};
const recorded = recordCacheMetrics(createMetrics());
let leaseWaits = 0;
const metrics: CacheMetrics = {
  ...recorded,
  leaseWaited(provider, context) {
    leaseWaits += 1;
    recorded.leaseWaited(provider, context);
  },
};
const caches = openCaches({
  backend: "redis",
  chosen: true,
  memory: { entriesMax: 100, bytesMax: 10_000_000 },
  redis: { url: options.url, database: 0, connectTimeoutMs: 5_000, commandBudgetMs: options.commandBudgetMs },
  clock,
  logger: { ...silentLogger, info: () => tell({ kind: "serving" }), warn: () => tell({ kind: "without" }) },
  metrics,
});
const readThrough = new ReadThrough({
  cache: caches.analytics,
  fleet: caches.analyticsFleet,
  resource: "performance",
  clock,
  metrics,
  logger: silentLogger,
  computeTimeoutMs: 10_000,
});

let computed = 0;
let load: Promise<Wave> | undefined;
let loading = false;

process.on("message", (request: Request) => void answer(request));
tell({ kind: "ready" });

async function answer(request: Request): Promise<void> {
  if (request.do === "stop") {
    await caches.close();
    process.disconnect();
  }
  if (request.do === "wave") tell({ kind: "wave", wave: await wave(request.key, request.count) });
  if (request.do === "startLoad") {
    loading = true;
    load = runLoad(request.key, request.count);
    tell({ kind: "loading" });
  }
  if (request.do === "endLoad") {
    loading = false;
    if (load !== undefined) tell({ kind: "wave", wave: await load });
  }
}

/** So many requests at once. */
async function wave(key: string, count: number): Promise<Wave> {
  const result = empty();
  const before = leaseWaits;
  await Promise.all(Array.from({ length: count }, () => readOne(key, result)));
  return { ...result, leaseWaits: leaseWaits - before };
}

/** So many readers, each of whom asks again as soon as it is answered and others had their turn. */
async function runLoad(key: string, count: number): Promise<Wave> {
  const result = empty();
  const reader = async (): Promise<void> => {
    while (loading) {
      await readOne(key, result);
      await new Promise(setImmediate);
    }
  };
  const before = leaseWaits;
  await Promise.all(Array.from({ length: count }, reader));
  return { ...result, leaseWaits: leaseWaits - before };
}

function empty(): Wave {
  return { answered: 0, failed: 0, oldestMs: 0, leaseWaits: 0, bodies: [] };
}

async function readOne(key: string, result: Wave): Promise<void> {
  try {
    const { body, ageMs } = await readThrough.read(key, { ...options.freshness, compute });
    result.answered += 1;
    result.oldestMs = Math.max(result.oldestMs, ageMs);
    const text = body.toString();
    if (!result.bodies.includes(text)) result.bodies.push(text);
  } catch {
    result.failed += 1;
  }
}

async function compute(signal: AbortSignal): Promise<Computed> {
  tell({ kind: "computed" });
  await sleep(systemClock, options.computeMs, signal);
  if (options.fails) throw new Error("the source is away");
  computed += 1;
  return { body: `${process.pid} ${computed} ${systemClock.wallMs()}`, computedAt: "now" };
}

function tell(what: object): void {
  process.send?.(what);
}
