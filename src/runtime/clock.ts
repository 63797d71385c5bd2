/** A pending timer; `cancel` is idempotent. */
export interface Timer {
  cancel(): void;
}

/**
 * The only source of time and timers of the process (architecture.md: nothing else may call `Date.now` or `setTimeout`).
 *
 * The wall clock displays, the monotonic clock measures; times that are compared come from the database.
 */
export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch. For display only. */
  wallMs(): number;
  /** Monotonic clock, fractional milliseconds from an arbitrary origin. For measuring and for deadlines. */
  monotonicMs(): number;
  /** Runs `callback` once after `delayMs`. The timer does not keep the process alive when `unref` is set. */
  schedule(delayMs: number, callback: () => void, options?: { readonly unref?: boolean }): Timer;
}

/** The clock of the machine. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  schedule(delayMs, callback, options) {
    const handle = setTimeout(callback, delayMs);
    if (options?.unref === true) handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Resolves after `delayMs`, or at once when `signal` aborts (it never rejects: the caller looks at the signal). */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = (): void => {
      timer.cancel();
      signal?.removeEventListener("abort", finish);
      resolve();
    };
    const timer = clock.schedule(delayMs, finish);
    signal?.addEventListener("abort", finish, { once: true });
  });
}
