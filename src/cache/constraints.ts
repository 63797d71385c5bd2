import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logging.ts";
import type { CacheHealth, CacheProvider, CacheReach, CacheUsageContext } from "./contract.ts";
import { CacheFaults } from "./faults.ts";
import type { CacheMetrics, CacheOperation } from "./metrics.ts";
import { noneCacheProvider } from "./providers/none.ts";

/**
 * The rule, stated once: where values of a context may live.
 *
 * A template that is registered through one process must replace the old one everywhere, and no process can reach into
 * another's memory. Analytics are informational and expire within a stated time, so a copy in each process does no harm.
 */
const reachesAllowed = {
  templates: ["none", "shared"],
  analytics: ["none", "process", "shared"],
  generic: ["none", "process", "shared"],
} as const satisfies Record<CacheUsageContext, readonly CacheReach[]>;

/** The providers a context accepts: a `process` cache for `templates` does not compile. */
export type CacheFor<Context extends CacheUsageContext> = CacheProvider<(typeof reachesAllowed)[Context][number]>;

/** What a feature may do with its cache. It cannot be made from a raw provider, and none of its operations rejects. */
export type ConstrainedCache<Context extends CacheUsageContext> = Pick<
  ConstrainedCacheProvider<Context>,
  "context" | "providerName" | "enabled" | "get" | "peek" | "peekNow" | "set" | "delete" | "deletePattern"
>;

export interface ConstrainedCacheOptions {
  /** Whether someone chose this provider; otherwise it is the default, and being refused is no reason to warn. */
  readonly chosen: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: CacheMetrics;
}

/** The health of the cache of one context. */
export interface CacheUseHealth extends CacheHealth {
  readonly context: CacheUsageContext;
  readonly provider: string;
}

/**
 * A cache that is allowed for what it is used for, and whose failures cost no more than the caching: every failure of
 * the provider is counted, logged when failing begins and when it is over, and reads as a miss.
 */
export class ConstrainedCacheProvider<Context extends CacheUsageContext> {
  readonly context: Context;
  readonly #provider: CacheProvider<"none"> | CacheFor<Context>;
  readonly #faults: CacheFaults;
  readonly #metrics: CacheMetrics;

  private constructor(
    provider: CacheProvider<"none"> | CacheFor<Context>,
    context: Context,
    options: ConstrainedCacheOptions,
  ) {
    this.context = context;
    this.#provider = provider;
    this.#metrics = options.metrics;
    this.#faults = new CacheFaults({ ...options, provider: provider.name, context });
  }

  /** The only way from a provider to a cache. One that the context may not use is named in the log and not used. */
  static create<Context extends CacheUsageContext>(
    provider: CacheProvider,
    context: Context,
    options: ConstrainedCacheOptions,
  ): ConstrainedCacheProvider<Context> {
    if (isAllowed(provider, context)) return new ConstrainedCacheProvider(provider, context, options);
    sayThatItIsRefused(provider, context, options);
    return new ConstrainedCacheProvider(noneCacheProvider, context, options);
  }

  get providerName(): string {
    return this.#provider.name;
  }

  /** Whether anything is ever kept. */
  get enabled(): boolean {
    return this.#provider.reach !== "none";
  }

  /** The value, or undefined when there is none or the provider fails. Counted as a hit or a miss. */
  async get(key: string): Promise<string | undefined> {
    const value = await this.peek(key);
    const found = value === undefined ? "miss" : "hit";
    this.#metrics.request(this.providerName, this.context, this.enabled ? found : "uncached");
    return value;
  }

  /** The same without counting a request: for a reader who judges for itself what a value is worth. */
  async peek(key: string): Promise<string | undefined> {
    try {
      const value = await this.#provider.get(key);
      this.#faults.succeeded("get");
      return value;
    } catch (error) {
      this.#faults.failed("get", error);
      return undefined;
    }
  }

  /** The same at once. Undefined also when the provider would have to be waited for. */
  peekNow(key: string, nowMs?: number): string | undefined {
    try {
      const value = this.#provider.getNow?.(key, nowMs);
      if (value !== undefined) this.#faults.succeeded("get");
      return value;
    } catch (error) {
      this.#faults.failed("get", error);
      return undefined;
    }
  }

  set(key: string, value: string, ttlMs: number): Promise<void> {
    return this.#survive("set", undefined, () => this.#provider.set(key, value, ttlMs));
  }

  delete(key: string): Promise<void> {
    return this.#survive("delete", undefined, () => this.#provider.delete(key));
  }

  /** Resolves to the number of values that went; 0 when the provider fails. */
  deletePattern(pattern: string): Promise<number> {
    return this.#survive("delete_pattern", 0, () => this.#provider.deletePattern(pattern));
  }

  async health(): Promise<CacheUseHealth> {
    const unhealthy: CacheHealth = { healthy: false, reason: "The health check failed; the log says why", figures: {} };
    const health = await this.#survive("health_check", unhealthy, () => this.#provider.healthCheck());
    return { context: this.context, provider: this.providerName, ...health };
  }

  async #survive<Result>(operation: CacheOperation, otherwise: Result, run: () => Promise<Result>): Promise<Result> {
    try {
      const result = await run();
      this.#faults.succeeded(operation);
      return result;
    } catch (error) {
      this.#faults.failed(operation, error);
      return otherwise;
    }
  }
}

function isAllowed<Context extends CacheUsageContext>(
  provider: CacheProvider,
  context: Context,
): provider is CacheFor<Context> {
  const allowed: readonly CacheReach[] = reachesAllowed[context];
  return allowed.includes(provider.reach);
}

function sayThatItIsRefused(
  provider: CacheProvider,
  context: CacheUsageContext,
  { chosen, logger }: ConstrainedCacheOptions,
): void {
  const details = { provider: provider.name, context };
  const what = `The cache "${provider.name}" is not used for ${context}, which go uncached`;
  if (!chosen) {
    logger.info(details, `${what}: it is the memory of one process, and other processes could not invalidate it`);
    return;
  }
  logger.warn(
    details,
    `${what}: it is the memory of one process, so that what another process changes would stay stale here. ` +
      `Everything works without; to cache ${context}, set backend in [common.cache] to one that all processes share`,
  );
}
