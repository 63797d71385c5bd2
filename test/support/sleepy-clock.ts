import type { Clock } from "../../src/runtime/clock.ts";

/** The clocks of a machine that sleeps when a test says so: only the wall clock goes on. A negative sleep sets it back. */
export function sleepyClock(clock: Clock): { readonly clock: Clock; readonly sleep: (ms: number) => void } {
  let sleptMs = 0;
  return {
    clock: {
      wallMs: () => clock.wallMs() + sleptMs,
      monotonicMs: () => clock.monotonicMs(),
      schedule: (delayMs, callback, options) => clock.schedule(delayMs, callback, options),
    },
    sleep: (ms) => void (sleptMs += ms),
  };
}
