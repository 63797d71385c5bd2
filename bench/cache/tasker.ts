import { AnalyticsService } from "../../src/analytics/analytics-service.ts";
import { type BottleneckParameters, defaultBottlenecks } from "../../src/analytics/parameters.ts";
import { openCaches } from "../../src/cache/caches.ts";
import { CacheKeys } from "../../src/cache/keys.ts";
import { recordCacheMetrics } from "../../src/cache/metrics.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { createMetrics } from "../../src/runtime/metrics.ts";
import type { Ask, Loader } from "./contenders.ts";

/** Our own cache as the server composes it, with its metrics and the memory of the process, over a loader instead of Postgres. */
export function openTasker(load: Loader, { frozen }: { readonly frozen: boolean }): { readonly ask: Ask } {
  const metrics = recordCacheMetrics(createMetrics());
  const clock = systemClock;
  const memory = { entriesMax: 10_000, bytesMax: 64 * 1024 * 1024 };
  const caches = openCaches({ backend: "memory", chosen: false, memory, clock, logger: silentLogger, metrics });
  const service = new AnalyticsService({
    queries: {
      performance: noSuchQuery,
      timeseries: noSuchQuery,
      backlog: noSuchQuery,
      step: noSuchQuery,
      compare: noSuchQuery,
      bottlenecks: async ({ hours }) => ({ answer: await read(load, hours), identitiesKnown: true }),
    },
    cache: caches.analytics,
    keys: new CacheKeys("bench"),
    clock,
    metrics,
    logger: silentLogger,
    computeTimeoutMs: 10_000,
    freshness: { ttlMs: 60_000, staleWhileRevalidateMs: 30_000, staleIfErrorMs: 3_600_000 },
    onComputed: () => undefined,
  });
  // As the HTTP endpoints do: equal questions are one frozen object.
  const questions = Array.from({ length: 1_000 }, (_, key) => Object.freeze(parametersOf(key)));
  return { ask: (key) => service.bottlenecks((frozen ? questions[key] : undefined) ?? parametersOf(key)) };
}

/** The first key is the one that the dashboard asks for. */
function parametersOf(key: number): BottleneckParameters {
  return { ...defaultBottlenecks, hours: defaultBottlenecks.hours + key };
}

async function read(load: Loader, hours: number): Promise<{ readonly calculated_at: string }> {
  return JSON.parse(await load(hours - defaultBottlenecks.hours)) as { readonly calculated_at: string };
}

function noSuchQuery(): Promise<never> {
  return Promise.reject(new Error("not asked here"));
}
