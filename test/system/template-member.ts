/**
 * A process that registers templates, reads them and creates tasks, for tests of several: does what its parent asks by messages,
 * over the parts and the listener of a real process.
 */
import { composeListener } from "../../src/app/compose.ts";
import { openCaches } from "../../src/cache/caches.ts";
import { CacheKeys } from "../../src/cache/keys.ts";
import { WakeUps } from "../../src/engine/wake-ups.ts";
import { systemClock as clock } from "../../src/runtime/clock.ts";
import { silentLogger as logger } from "../../src/runtime/logging.ts";
import { TaskSubmitter } from "../../src/templates/submit.ts";
import { TaskHandlerRegistry } from "../../src/templates/task-handler-registry.ts";
import { TemplateStore } from "../../src/templates/template-store.ts";
import { defineTask } from "../../src/workflow/define-task.ts";
import { RecordingMetrics } from "../cache/support.ts";
import { openTestPool } from "../support/database.ts";
import { type MemberOptions, type MemberReport, type MemberRequest, stormed } from "./template-processes.ts";

// Written by template-processes.ts.
const { databaseUrl, redisPort } = JSON.parse(process.argv[2] ?? "{}") as MemberOptions;
const database = openTestPool(databaseUrl, 5);
const metrics = new RecordingMetrics();
const caches = openCaches({
  backend: "redis",
  chosen: true,
  memory: { entriesMax: 10, bytesMax: 100_000 },
  // Several processes share few processors here: what is tested must not depend on who gets one when.
  redis: { url: `redis://127.0.0.1:${redisPort}`, database: 0, connectTimeoutMs: 1_000, commandBudgetMs: 250 },
  clock,
  logger,
  metrics,
});
const store = new TemplateStore({
  database,
  cache: caches.templates,
  keys: new CacheKeys("storm"),
  ttlMs: 3_600_000,
  clock,
  logger,
  metrics,
});
const registry = new TaskHandlerRegistry({ database, store, logger, allowGraphChange: false });
const wakeUps = new WakeUps(database, clock, logger);
const submitter = new TaskSubmitter({ database, store, registry, wakeUps });
const listener = composeListener({ logger, wakeUps }, databaseUrl, store, undefined);

/** The newest revision that this process was told has been registered. */
let atLeast = 0;
let running = false;
let loops: Promise<unknown> = Promise.resolve();
const report: MemberReport = { created: 0, createdAtLeast: 0, failures: [], hits: 0 };

process.on("message", (request: MemberRequest) => void answer(request));
await listener.start();
process.send?.(report);

/** Each request is answered by a report. */
async function answer(request: MemberRequest): Promise<void> {
  if (request.do === "register") {
    const retry = { maxAttempts: request.attempts };
    await registry.register([defineTask(stormed).step("only", { retry }, () => null)]);
  }
  if (request.do === "atLeast") {
    atLeast = request.revision;
    report.createdAtLeast = 0;
  }
  if (request.do === "start") {
    running = true;
    loops = Promise.all(Array.from({ length: request.readers }, (_, index) => (index % 2 === 0 ? create() : read())));
  }
  if (request.do === "stop") {
    running = false;
    await loops;
  }
  report.hits = metrics.requests["redis/templates/hit"] ?? 0;
  process.send?.(report);
  if (request.do !== "end") return;
  await listener.stop();
  store.stop();
  wakeUps.close();
  await caches.close();
  await database.close();
  process.disconnect();
}

/** Creates task after task. Each says of which revision, at least, it must be: what was known when its creation began. */
async function create(): Promise<void> {
  while (running) {
    const begunAtLeast = atLeast;
    await guarded(() => submitter.submit(stormed, [{ input: null, correlationId: String(begunAtLeast) }]));
    report.created += 1;
    if (begunAtLeast === atLeast) report.createdAtLeast += 1;
  }
}

async function read(): Promise<void> {
  while (running) {
    await guarded(() => store.current(stormed));
    await new Promise(setImmediate);
  }
}

async function guarded(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (report.failures.length < 10) report.failures.push(String(error));
  }
}
