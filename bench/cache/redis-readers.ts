import { Redis } from "ioredis";

import { ConstrainedCacheProvider } from "../../src/cache/constraints.ts";
import { FleetCacheOf } from "../../src/cache/fleet.ts";
import { recordCacheMetrics } from "../../src/cache/metrics.ts";
import { noneCacheProvider } from "../../src/cache/providers/none.ts";
import { RedisCacheProvider } from "../../src/cache/providers/redis.ts";
import { ReadThrough } from "../../src/cache/read-through.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { createMetrics } from "../../src/runtime/metrics.ts";
import { benchText } from "./answer.ts";
import { rateOf } from "./measure.ts";
import type { Rate } from "./protocol.ts";

/** Reads the answer of one of the keys from redis. */
type Reader = (key: string) => Promise<unknown>;

/** As many as there are reads in flight at most: readers of one key at the same time would share one look. */
const keysMax = 50;
const keyOf = (index: number): string => `bench:${index % keysMax}`;

export const rawGet = "ioredis get";
export const readerNames = [rawGet, "ioredis getBuffer", "fleet find", "read-through without memory"] as const;

/**
 * Opens one of the ways to read, when redis holds the answers. They are the same bytes for all: what our read-through has
 * written there. Nothing stands in front of redis: `memory` is the provider that keeps nothing.
 */
export async function openReader(name: string, url: string): Promise<Reader> {
  const client = new Redis(url);
  if (name === rawGet) return (key) => client.get(key);
  if (name === "ioredis getBuffer") return (key) => client.getBuffer(key);
  client.disconnect();

  const metrics = recordCacheMetrics(createMetrics());
  const clock = systemClock;
  const about = { chosen: true, clock, logger: silentLogger, metrics };
  // The budget is that of a host whose processor is not shared with other work.
  const connection = { url, database: 0, connectTimeoutMs: 5_000, commandBudgetMs: 1_000 };
  let redis: RedisCacheProvider | undefined;
  await new Promise<void>((resolve) => {
    const onChange = ({ serving }: { readonly serving: boolean }): void => {
      if (serving) resolve();
    };
    redis = new RedisCacheProvider(connection, { ...about, onChange });
  });
  if (redis === undefined) throw new Error("a promise's function runs at once");
  const fleet = FleetCacheOf.create(redis, "analytics", about);
  const cache = ConstrainedCacheProvider.create(noneCacheProvider, "analytics", about);
  const through = new ReadThrough({ ...about, cache, fleet, resource: "bench", computeTimeoutMs: 10_000 });
  let computed = 0;
  // As the service of the analytics does, which prepares a question once.
  const options = {
    ttlMs: 600_000,
    staleWhileRevalidateMs: 30_000,
    staleIfErrorMs: 3_600_000,
    compute: async () => ({ body: benchText((computed += 1)), computedAt: "2026-01-01T00:00:00.000000Z" }),
  };
  const readThrough: Reader = (key) => through.read(key, options);
  for (let index = 0; index < keysMax; index += 1) await readThrough(keyOf(index));
  return name === "fleet find" ? (key) => fleet.find(key) : readThrough;
}

/** Keeps so many reads in flight. @throws when one finds nothing */
export function reads(reader: Reader, inFlight: number, cpuMs: number): Promise<Rate> {
  return rateOf(cpuMs, async () => {
    let left = 20 * inFlight;
    const lane = async (index: number): Promise<void> => {
      while (left > 0) {
        left -= 1;
        const found = await reader(keyOf(index));
        if (found === undefined || found === null || found === "unavailable")
          throw new Error(`nothing at ${keyOf(index)}`);
      }
    };
    await Promise.all(Array.from({ length: inFlight }, (_, index) => lane(index)));
    return 20 * inFlight;
  });
}
