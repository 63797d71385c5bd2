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
  /** Wall clock, milliseconds since the Unix epoch. For display, and to notice that the machine slept. */
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

/** Set back by more than this, the wall clock is compared anew from where it is; less is how clocks are kept right. */
const setBackMs = 1_000;

/**
 * A clock whose monotonic time counts the time too that the machine, or the virtual machine, was asleep for. `CLOCK_MONOTONIC`, which
 * the process's own monotonic clock reads, stands still meanwhile; the wall clock does not.
 *
 * Whatever the wall clock gains on the monotonic one is added once. So the time never runs back, a jump of the wall clock forwards is
 * taken for sleep, and one backwards changes nothing: what is measured with it is right or too long, never too short.
 */
export function elapsedClock(clock: Clock): Clock {
  let asleepMs = 0;
  let reference = Number.NaN;
  return {
    wallMs: () => clock.wallMs(),
    monotonicMs() {
      // The wall clock first: a pause between the two readings must not look like sleep.
      const wallMs = clock.wallMs();
      const monotonicMs = clock.monotonicMs();
      const difference = wallMs - monotonicMs;
      const gained = difference - reference;
      // The wall clock has no fractions of a millisecond: less than one is no gain.
      if (gained >= 1) {
        asleepMs += gained;
        reference = difference;
      } else if (!(gained >= -setBackMs)) {
        // The first reading, or the wall clock was set back.
        reference = difference;
      }
      return monotonicMs + asleepMs;
    },
    schedule: (delayMs, callback, options) => clock.schedule(delayMs, callback, options),
  };
}
