import { InvalidPayloadError, PermanentError, RetryableError } from "./errors.ts";

/** When and how often a failed step is tried again. */
export interface RetryPolicy {
  /** Attempts in all, the first one included. */
  readonly maxAttempts: number;
  /** The longest wait before the second attempt, in milliseconds. */
  readonly initialDelayMs: number;
  /** How much longer each further wait may be. */
  readonly factor: number;
  /** No wait is longer than this, in milliseconds. */
  readonly maxDelayMs: number;
}

export const defaultRetryPolicy: RetryPolicy = Object.freeze({
  maxAttempts: 3,
  initialDelayMs: 1000,
  factor: 2,
  maxDelayMs: 60_000,
});

/** What becomes of a step whose attempt failed. */
export type FailureDecision =
  | { readonly state: "waiting_for_retry"; readonly delayMs: number }
  | { readonly state: "error" };

/**
 * Decides after a failed attempt. `failedAttempts` counts this one; `random` is uniform in [0, 1).
 *
 * The wait is exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter", 2015): uniform between 0
 * and min(maxDelayMs, initialDelayMs * factor^(failedAttempts - 1)). A RetryableError's own delay replaces it.
 */
export function decideAfterFailure(
  policy: RetryPolicy,
  failedAttempts: number,
  error: unknown,
  random: number,
): FailureDecision {
  // An input or output that cannot be used will not be better next time.
  const final = error instanceof PermanentError || error instanceof InvalidPayloadError;
  if (final || failedAttempts >= policy.maxAttempts) return { state: "error" };
  if (error instanceof RetryableError && error.delayMs !== undefined) {
    return { state: "waiting_for_retry", delayMs: Math.round(error.delayMs) };
  }
  // The power may overflow: an initial delay of 0 times infinity would be no number.
  const growth = Math.min(policy.factor ** (failedAttempts - 1), Number.MAX_VALUE);
  const ceilingMs = Math.floor(Math.min(policy.maxDelayMs, policy.initialDelayMs * growth));
  return { state: "waiting_for_retry", delayMs: Math.floor(random * (ceilingMs + 1)) };
}
