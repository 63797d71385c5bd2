import type { Clock, Timer } from "../runtime/clock.ts";
import type { StepSpec } from "../workflow/template.ts";
import { HeartbeatTimeoutError, StepTimeoutError } from "./handler-error.ts";

/**
 * Runs a handler, at most for its step's `timeoutMs`, and never longer than `heartbeatTimeoutMs` without a heartbeat. When its time
 * is up its signal aborts and the attempt is over, whether or not the handler heeds the signal: one that hangs must not hold
 * its slot for ever.
 *
 * @param run gets the function that notes a heartbeat
 */
export async function withTimeLimits(
  clock: Clock,
  { name, timeoutMs, heartbeatTimeoutMs }: StepSpec,
  controller: AbortController,
  run: (beat: () => void) => unknown,
): Promise<unknown> {
  if (timeoutMs === null && heartbeatTimeoutMs === undefined) return run(() => {});
  const timers = new Set<Timer>();
  let beatMs = clock.monotonicMs();
  const expired = new Promise<never>((_, reject) => {
    const expire = (error: Error): void => {
      controller.abort(error);
      reject(error);
    };
    if (timeoutMs !== null) {
      const late = (): void => expire(new StepTimeoutError(`step ${name} took longer than ${timeoutMs} ms`));
      timers.add(clock.schedule(timeoutMs, late));
    }
    if (heartbeatTimeoutMs !== undefined) {
      const watch = (delayMs: number): void => {
        const timer = clock.schedule(delayMs, () => {
          timers.delete(timer);
          // One timer for any number of heartbeats: it looks when it is due how long the last one is ago.
          const leftMs = beatMs + heartbeatTimeoutMs - clock.monotonicMs();
          if (leftMs > 0) watch(leftMs);
          else expire(new HeartbeatTimeoutError(`step ${name} sent no heartbeat for ${heartbeatTimeoutMs} ms`));
        });
        timers.add(timer);
      };
      watch(heartbeatTimeoutMs);
    }
  });
  try {
    return await Promise.race([
      run(() => {
        beatMs = clock.monotonicMs();
      }),
      expired,
    ]);
  } finally {
    for (const timer of timers) timer.cancel();
  }
}
