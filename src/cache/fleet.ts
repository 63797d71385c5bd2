import type { CacheUseHealth, ConstrainedCacheOptions } from "./constraints.ts";
import type { CacheUsageContext, ClaimRequest, Fill, Kept, SharedCacheProvider } from "./contract.ts";
import { CacheFaults } from "./faults.ts";
import type { CacheOperation } from "./metrics.ts";

/** A value of the fleet's store, its age as a time of this process's monotonic clock. */
export interface Found {
  /** Never write to it. */
  readonly value: Buffer;
  readonly bornMs: number;
  /** It was born at this time or later. */
  readonly begunMs: number;
}

/** What became of a claim; `unavailable` when the store cannot say. */
export type Claimed =
  | { readonly state: "found"; readonly found: Found }
  | { readonly state: "granted"; readonly nowMs: number }
  | { readonly state: "held" | "failed" | "unavailable" };

/** What a feature may do with the store that the fleet shares. */
export type FleetCache<Context extends CacheUsageContext = CacheUsageContext> = Pick<
  FleetCacheOf<Context>,
  "context" | "providerName" | "find" | "claim" | "renew" | "fill" | "invalidate" | "release" | "health"
>;

/**
 * A shared store for one use, whose failures cost no more than its use: every one is counted and reads as a miss, a lease that
 * is lost, or a claim that nobody can decide. None of its operations rejects.
 */
export class FleetCacheOf<Context extends CacheUsageContext> {
  readonly context: Context;
  readonly #provider: SharedCacheProvider;
  readonly #options: ConstrainedCacheOptions;
  readonly #faults: CacheFaults;

  private constructor(provider: SharedCacheProvider, context: Context, options: ConstrainedCacheOptions) {
    this.context = context;
    this.#provider = provider;
    this.#options = options;
    this.#faults = new CacheFaults({ ...options, provider: provider.name, context });
  }

  /** The only way from a provider to what features use. Every context may share. */
  static create<Context extends CacheUsageContext>(
    provider: SharedCacheProvider,
    context: Context,
    options: ConstrainedCacheOptions,
  ): FleetCacheOf<Context> {
    return new FleetCacheOf(provider, context, options);
  }

  get providerName(): string {
    return this.#provider.name;
  }

  /** `unavailable` when the store cannot say. */
  async find(key: string): Promise<Found | "unavailable" | undefined> {
    const sentMs = this.#options.clock.monotonicMs();
    // As `#survive` does, with nothing in between: it is what a hit costs.
    try {
      const kept = await this.#provider.find(key);
      this.#faults.succeeded("find");
      return kept === undefined ? undefined : foundOf(kept, sentMs);
    } catch (error) {
      this.#faults.failed("find", error);
      return "unavailable";
    }
  }

  async claim(key: string, request: ClaimRequest): Promise<Claimed> {
    const sentMs = this.#options.clock.monotonicMs();
    const unavailable = { state: "unavailable" } as const;
    const claim = await this.#survive("claim", unavailable, () => this.#provider.claim(key, request));
    return claim.state === "found" ? { state: "found", found: foundOf(claim.kept, sentMs) } : claim;
  }

  /** False when the lease is lost, or nobody can tell. */
  renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return this.#survive("renew", false, () => this.#provider.renew(key, token, leaseMs));
  }

  /** False when nothing was stored. */
  fill(key: string, token: string, fill: Fill): Promise<boolean> {
    return this.#survive("fill", false, () => this.#provider.fill(key, token, fill));
  }

  /** False when nobody knows whether the value and the lease are gone. */
  invalidate(key: string): Promise<boolean> {
    return this.#survive("invalidate", false, async () => {
      await this.#provider.invalidate(key);
      return true;
    });
  }

  release(key: string, token: string, pauseMs: number): Promise<void> {
    return this.#survive("release", undefined, () => this.#provider.release(key, token, pauseMs));
  }

  async health(): Promise<CacheUseHealth> {
    return { context: this.context, provider: this.providerName, ...(await this.#provider.healthCheck()) };
  }

  async #survive<Result, Otherwise>(
    operation: CacheOperation,
    otherwise: Otherwise,
    run: () => Promise<Result>,
  ): Promise<Result | Otherwise> {
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

/** The store told the age after the command was sent: counted from then, it is right or a little too high. */
function foundOf({ value, bornMs, ageMs }: Kept, sentMs: number): Found {
  return { value, bornMs, begunMs: sentMs - ageMs };
}
