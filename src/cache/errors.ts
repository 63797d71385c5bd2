/** A computation did not end within its deadline, waiting for its turn included. */
export class ComputeTimeoutError extends Error {
  override readonly name = "ComputeTimeoutError";
  readonly code = "compute_timeout";

  constructor(resource: string, timeoutMs: number) {
    super(`Computing ${resource} did not end within ${timeoutMs} ms`);
  }
}

/** So many computations wait for their turn that another one was not begun. */
export class ComputeOverloadedError extends Error {
  override readonly name = "ComputeOverloadedError";
  readonly code = "compute_overloaded";

  constructor(resource: string, waitingMax: number) {
    super(`Computing ${resource} was not begun: ${waitingMax} computations already wait for their turn`);
  }
}

/** Another process has just failed to compute this; its log says why. The source is left alone for a moment. */
export class ComputeFailedElsewhereError extends Error {
  override readonly name = "ComputeFailedElsewhereError";
  readonly code = "compute_failed";

  constructor(resource: string) {
    super(`Another process has just failed to compute ${resource}`);
  }
}

/** Why a store did not do what it was asked; the words of metrics. */
export type StoreFailure = Outage | Refusal | "closed";

/** The store as a whole cannot be used now. */
export type Outage = (typeof outages)[number];

/** The store works and refused this command. */
export type Refusal = (typeof refusals)[number];

export const outages = [
  "timeout",
  "not_ready",
  "connection",
  "certificate",
  "loading",
  "noauth",
  "wrongpass",
  "busy",
  "masterdown",
  "moved",
  "ask",
  "crossslot",
  "clusterdown",
] as const;

export const refusals = ["oom", "readonly", "misconf", "noperm", "wrongtype", "error_reply"] as const;

/** A store failed. Its message holds no secrets, and no value of a key. */
export class CacheStoreError extends Error {
  override readonly name = "CacheStoreError";
  readonly code = "cache_store_failed";
  readonly reason: StoreFailure;

  constructor(reason: StoreFailure, message: string) {
    super(message);
    this.reason = reason;
  }

  /** Whether the store itself reports this in the log, once for all its uses, when it begins and when it is over. */
  get isOutage(): boolean {
    return this.reason === "closed" || outages.some((outage) => outage === this.reason);
  }
}
