import type { Clock } from "../runtime/clock.ts";

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** npm passes a Ctrl-C on that the terminal has sent to its child as well; the two are one. */
const sameMs = 500;

/** A request to stop, from the keyboard or from whoever supervises the process. */
export interface StopSignal {
  /** Aborts with the first signal. */
  readonly signal: AbortSignal;
  /** Resolves with the first signal. */
  readonly requested: Promise<void>;
  /** Gives signals back their usual effect. */
  dispose(): void;
}

/**
 * Waits for SIGINT, SIGTERM or SIGHUP.
 *
 * @param onSecond called when another signal comes while the process is stopping: the stop takes too long for somebody
 */
export function stopSignal(clock: Clock, onSecond: () => void): StopSignal {
  const controller = new AbortController();
  let firstMs = 0;
  const requested = new Promise<void>((resolve) => {
    controller.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  const listener = (): void => {
    if (!controller.signal.aborted) {
      firstMs = clock.monotonicMs();
      controller.abort();
    } else if (clock.monotonicMs() - firstMs > sameMs) onSecond();
  };
  for (const name of signals) process.on(name, listener);
  return {
    signal: controller.signal,
    requested,
    dispose: () => {
      for (const name of signals) process.off(name, listener);
    },
  };
}
