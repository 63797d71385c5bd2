import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logging.ts";
import { type CacheUseHealth, type ConstrainedCache, ConstrainedCacheProvider } from "./constraints.ts";
import type { CacheProvider } from "./contract.ts";
import type { CacheMetrics } from "./metrics.ts";
import { type MemoryCacheLimits, MemoryCacheProvider } from "./providers/memory.ts";
import { noneCacheProvider } from "./providers/none.ts";

/** Where values live: in the memory of this process, or nowhere. */
export type CacheBackend = "memory" | "none";

export interface CachesOptions {
  readonly backend: CacheBackend;
  /** Whether someone chose the backend. A default that templates may not use is worth an info line, a choice a warning. */
  readonly chosen: boolean;
  readonly memory: MemoryCacheLimits;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: CacheMetrics;
}

/** The caches of a process, one for each use. */
export interface Caches {
  readonly analytics: ConstrainedCache<"analytics">;
  readonly templates: ConstrainedCache<"templates">;
  /** One report for each use; never rejects. */
  health(): Promise<readonly CacheUseHealth[]>;
  /** Idempotent. The caches then miss. */
  close(): Promise<void>;
}

/** Opens the configured backend. The raw provider stays in here: features get what is allowed for their use. */
export function openCaches(options: CachesOptions): Caches {
  const provider = openProvider[options.backend](options);
  const analytics = ConstrainedCacheProvider.create(provider, "analytics", options);
  const templates = ConstrainedCacheProvider.create(provider, "templates", options);
  return Object.freeze({
    analytics,
    templates,
    health: () => Promise.all([analytics.health(), templates.health()]),
    close: () => provider.close(),
  });
}

const openProvider: Readonly<Record<CacheBackend, (options: CachesOptions) => CacheProvider>> = {
  memory: ({ memory, clock }) => new MemoryCacheProvider(memory, clock),
  none: () => noneCacheProvider,
};
