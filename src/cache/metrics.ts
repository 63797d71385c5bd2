import type { Metrics } from "../runtime/metrics.ts";
import type { CacheUsageContext } from "./contract.ts";

/**
 * How a request was answered: from the cache; by computing; by a computation that another caller had begun; by
 * computing without keeping the answer; by repeating a failure without asking the source again.
 */
export type CacheRequestResult = "hit" | "miss" | "coalesced" | "uncached" | "paused";

/** A failure that was survived: of an operation, or a value that was found and could not be read. */
export type CacheErrorReason = "get" | "set" | "delete" | "delete_pattern" | "health_check" | "undecodable";

/** What the caches report. Implementations must not throw. */
export interface CacheMetrics {
  request(provider: string, context: CacheUsageContext, result: CacheRequestResult): void;
  error(provider: string, context: CacheUsageContext, reason: CacheErrorReason): void;
}

/** Reports into the metrics of the process. */
export function recordCacheMetrics(metrics: Pick<Metrics, "cacheRequests" | "cacheErrors">): CacheMetrics {
  return {
    request: (provider, context, result) => metrics.cacheRequests.add(1, { provider, context, result }),
    error: (provider, context, reason) => metrics.cacheErrors.add(1, { provider, context, reason }),
  };
}
