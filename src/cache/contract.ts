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
  /** Since when it is not healthy, RFC 3339, by this process's wall clock. */
  readonly since?: string;
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
   * The same without waiting, of a provider that has its values at hand.
   *
   * @param nowMs the time by the monotonic clock, of a caller who has just read it
   */
  getNow?(key: string, nowMs?: number): string | undefined;
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

/** A value with its age, both told by the store's own clock: the clocks of two hosts are never compared. */
export interface Kept {
  /** The bytes of the text that was filled. Shared by all who found it: never write to it. */
  readonly value: Buffer;
  /** When the value was born, by the store's clock, milliseconds. Tells apart what was kept under one key at two times. */
  readonly bornMs: number;
  /** When the store was asked, or later; never too low, but for a step of the store's clock. */
  readonly ageMs: number;
}

export interface ClaimRequest {
  /** Names this claim and nobody else's, ever. */
  readonly token: string;
  /** A holder that neither fills, releases nor renews for so long has lost the lease. */
  readonly leaseMs: number;
  /** The birth of the value that the caller has and wants another for. */
  readonly knownBornMs: number | undefined;
  /** An older value than this is not worth having. */
  readonly maxAgeMs: number;
}

/** What became of a claim: a value is there after all; computing is the caller's, from `nowMs` on; another's; or has just failed. */
export type Claim =
  | { readonly state: "found"; readonly kept: Kept }
  | { readonly state: "granted"; readonly nowMs: number }
  | { readonly state: "held" | "failed" };

export interface Fill {
  readonly value: string;
  /** What the claim's `nowMs` was: the value cannot be older. */
  readonly bornMs: number;
  /** How long after its birth the value may be kept. */
  readonly keepMs: number;
}

/**
 * A store that all processes see, and through which they agree who computes a value (leases, as in Nishtala et al., "Scaling
 * Memcache at Facebook", NSDI 2013, section 3.2.1). What is filled is read by `find` and by no other operation.
 */
export interface SharedCacheProvider extends CacheProvider<"shared"> {
  find(key: string): Promise<Kept | undefined>;
  /** Looks for a value worth having and, when there is none, for the right to compute it; in one step. */
  claim(key: string, request: ClaimRequest): Promise<Claim>;
  /** Prolongs a lease. False when it is lost. */
  renew(key: string, token: string, leaseMs: number): Promise<boolean>;
  /** Stores the value and gives the lease back. False, and nothing stored, when the lease is lost: no lease, no write. */
  fill(key: string, token: string, fill: Fill): Promise<boolean>;
  /** Deletes the value and ends the lease in one step, whoever holds it: a fill under way stores nothing. */
  invalidate(key: string): Promise<void>;
  /** Gives the lease back without a value. With `pauseMs`, claims fail for so long: the source has failed. */
  release(key: string, token: string, pauseMs: number): Promise<void>;
}
