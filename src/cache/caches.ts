import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logging.ts";
import { type CacheUseHealth, type ConstrainedCache, ConstrainedCacheProvider } from "./constraints.ts";
import type { CacheProvider } from "./contract.ts";
import { type FleetCache, FleetCacheOf } from "./fleet.ts";
import type { CacheMetrics } from "./metrics.ts";
import { type MemoryCacheLimits, MemoryCacheProvider } from "./providers/memory.ts";
import { noneCacheProvider } from "./providers/none.ts";
import { type RedisCacheOptions, RedisCacheProvider } from "./providers/redis.ts";

/** Where values live: in a redis that all processes share, in the memory of this process, or nowhere. */
export type CacheBackend = "redis" | "memory" | "none";

export type CachesOptions = CommonOptions &
  (
    | { readonly backend: "redis"; readonly redis: RedisCacheOptions }
    | { readonly backend: "memory" | "none"; readonly redis?: RedisCacheOptions }
  );

interface CommonOptions {
  /** Whether someone chose the backend. A default that templates may not use is worth an info line, a choice a warning. */
  readonly chosen: boolean;
  readonly memory: MemoryCacheLimits;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: CacheMetrics;
}

/** The caches of a process, one for each use. */
export interface Caches {
  /** What this process keeps of the analytics for itself: all there is, or what stands in front of `analyticsFleet`. */
  readonly analytics: ConstrainedCache<"analytics">;
  /** What all processes share of the analytics, and through which they agree who computes. */
  readonly analyticsFleet: FleetCache | undefined;
  /** What all processes share of the templates; undefined when they go uncached. No process keeps any for itself. */
  readonly templates: FleetCache<"templates"> | undefined;
  /** One report for each use and provider; never rejects. */
  health(): Promise<readonly CacheUseHealth[]>;
  /** Idempotent. The caches then miss. */
  close(): Promise<void>;
}

/**
 * Opens the configured backend. Raw providers stay in here: features get what is allowed for their use. Nothing waits for
 * redis, which may come later or go at any time: analytics then live in memory alone, templates nowhere.
 */
export function openCaches(options: CachesOptions): Caches {
  const near: CacheProvider =
    options.backend === "none" ? noneCacheProvider : new MemoryCacheProvider(options.memory, options.clock);
  const redis = options.backend === "redis" ? new RedisCacheProvider(options.redis, options) : undefined;
  const analytics = ConstrainedCacheProvider.create(near, "analytics", options);
  const analyticsFleet = redis === undefined ? undefined : FleetCacheOf.create(redis, "analytics", options);
  const templates = redis === undefined ? undefined : FleetCacheOf.create(redis, "templates", options);
  // What is not shared is refused, and says so in the log and in reports on health.
  const templatesUse = templates ?? ConstrainedCacheProvider.create(near, "templates", options);
  const uses = [analytics, ...(analyticsFleet === undefined ? [] : [analyticsFleet]), templatesUse];
  return Object.freeze({
    analytics,
    analyticsFleet,
    templates,
    health: () => Promise.all(uses.map((use) => use.health())),
    close: async () => void (await Promise.all([near.close(), redis?.close()])),
  });
}
