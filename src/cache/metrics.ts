import type { Metrics } from "../runtime/metrics.ts";
import type { CacheUsageContext } from "./contract.ts";
import type { StoreFailure } from "./errors.ts";

/**
 * How a request was answered: from the cache, fresh; from the cache while a new answer is computed; from the cache because the
 * source fails; by computing; by a computation that another caller had begun; by computing without keeping the answer; by
 * repeating a failure without asking the source again.
 */
export type CacheRequestResult = "hit" | "stale" | "stale_if_error" | "miss" | "coalesced" | "uncached" | "paused";

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
  | "invalidate"
  | "release";

/** A failure that was survived: why the store failed, else the operation; or a value that was found and could not be read. */
export type CacheErrorReason = CacheOperation | StoreFailure | "undecodable";

export type CountRequest = (result: CacheRequestResult) => void;

/** What the caches report. Implementations must not throw. */
export interface CacheMetrics {
  request(provider: string, context: CacheUsageContext, result: CacheRequestResult): void;
  /** The same for one provider and use, looked up once: for whoever counts each hit. */
  requestsOf(provider: string, context: CacheUsageContext): CountRequest;
  error(provider: string, context: CacheUsageContext, reason: CacheErrorReason): void;
  /** The source was asked. */
  computed(provider: string, context: CacheUsageContext, seconds: number, result: "ok" | "failed"): void;
  /** Another process computed what this one needed, and was waited for. */
  leaseWaited(provider: string, context: CacheUsageContext): void;
}

/** Reports into the metrics of the process. */
export function recordCacheMetrics(
  metrics: Pick<Metrics, "cacheRequests" | "cacheErrors" | "cacheComputes" | "cacheComputeSeconds" | "cacheLeaseWaits">,
): CacheMetrics {
  return {
    request: (provider, context, result) => metrics.cacheRequests.add(1, { provider, context, result }),
    requestsOf(provider, context) {
      const of = (result: CacheRequestResult): (() => void) =>
        metrics.cacheRequests.bound({ provider, context, result });
      const counts: Readonly<Record<CacheRequestResult, () => void>> = {
        hit: of("hit"),
        stale: of("stale"),
        stale_if_error: of("stale_if_error"),
        miss: of("miss"),
        coalesced: of("coalesced"),
        uncached: of("uncached"),
        paused: of("paused"),
      };
      return (result) => counts[result]();
    },
    error: (provider, context, reason) => metrics.cacheErrors.add(1, { provider, context, reason }),
    computed(provider, context, seconds, result) {
      metrics.cacheComputes.add(1, { provider, context, result });
      metrics.cacheComputeSeconds.observe(seconds, { provider, context });
    },
    leaseWaited: (provider, context) => metrics.cacheLeaseWaits.add(1, { provider, context }),
  };
}
