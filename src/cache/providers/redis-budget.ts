import type { Clock } from "../../runtime/clock.ts";

/**
 * What `promise` brings, or a rejection with `late()` when it brings nothing within the budget.
 *
 * When time is up the event loop turns once more before the verdict: what was already there and waited only for a busy
 * process is no lateness of the other side. The promise may still settle afterwards; nobody hears it.
 */
export function withinBudget<Result>(
  clock: Clock,
  budgetMs: number,
  promise: Promise<Result>,
  late: () => Error,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    let timer = clock.schedule(budgetMs, () => {
      // A timer of no delay runs in the next turn, after what has arrived was read.
      timer = clock.schedule(0, () => reject(late()));
    });
    promise.then(resolve, reject).finally(() => timer.cancel());
  });
}
