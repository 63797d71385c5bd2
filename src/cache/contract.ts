/**
 * Who can see a value after it was set: nobody, this process, or every process of the fleet.
 *
 * A provider's reach never changes and no provider falls back to another: one that passed as `shared` and then went on
 * in process memory would keep templates that nobody can invalidate.
 */
export type CacheReach = "none" | "process" | "shared";

/** What a cache is used for; `constraints.ts` says which reach each may have. */
export type CacheUsageContext = "templates" | "analytics" | "generic";

/** What a provider says about itself. */
export interface CacheHealth {
  readonly healthy: boolean;
  /** Why it is not healthy, in a sentence without secrets. */
  readonly reason?: string;
  /** Sizes and counts by snake_case name, such as `entries` or `evictions_total`. */
  readonly figures: Readonly<Record<string, number>>;
}

/**
 * A store of strings by key. `test/contracts/cache-provider.ts` is this contract as tests; every provider passes it.
 *
 * Operations may reject when the store fails. They must settle: a provider that talks to something bounds each
 * operation itself, since a caller cannot tell a slow store from a dead one. Callers outside this folder never see a
 * provider, only a `ConstrainedCache`, which survives its failures.
 */
export interface CacheProvider<Reach extends CacheReach = CacheReach> {
  /** Names the provider in logs, metrics and health. */
  readonly name: string;
  readonly reach: Reach;
  /** The value that was last set under the key, until its time to live has passed; otherwise undefined. */
  get(key: string): Promise<string | undefined>;
  /**
   * Keeps `value` for `ttlMs` milliseconds (the value is still there at exactly `ttlMs`, and gone after). A value that
   * cannot be kept, because it is too large or because `ttlMs` is not positive, also removes the one before it.
   * Any value may be given up earlier.
   */
  set(key: string, value: string, ttlMs: number): Promise<void>;
  delete(key: string): Promise<void>;
  /**
   * Deletes every key that the pattern matches and resolves to the number of values that went. `*` stands for any run
   * of characters, `?` for exactly one, every other character for itself.
   */
  deletePattern(pattern: string): Promise<number>;
  healthCheck(): Promise<CacheHealth>;
  /** Gives up every resource; idempotent. A closed cache misses, and keeps nothing. */
  close(): Promise<void>;
}
