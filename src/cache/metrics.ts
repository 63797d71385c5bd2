import type { Metrics } from "../runtime/metrics.ts";
import type { CacheUsageContext } from "./contract.ts";
import type { StoreFailure } from "./errors.ts";

/**
 * How a request was answered: from the cache; by computing; by a computation that another caller had begun; by
 * computing without keeping the answer; by repeating a failure without asking the source again.
 */
export type CacheRequestResult = "hit" | "miss" | "coalesced" | "uncached" | "paused";

/** An operation that failed. */
export type CacheOperation =
  | "get"
  | "set"
  | "delete"
  | "delete_pattern"
  | "health_check"
  | "find"
  | "claim"
  | "renew"
  | "fill"
  | "release";

/** A failure that was survived: why the store failed, else the operation; or a value that was found and could not be read. */
export type CacheErrorReason = CacheOperation | StoreFailure | "undecodable";

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
