import { type Clock, sleep } from "../../src/runtime/clock.ts";
import type { StepHandler } from "../../src/workflow/define-task.ts";

/** One call of a handler as the handler itself saw it: in milliseconds of this process' monotonic clock. */
export interface Call {
  readonly taskId: string;
  readonly step: string;
  readonly attempt: number;
  readonly startedMs: number;
  readonly endedMs: number;
  /** The steps whose results it was given, sorted. */
  readonly resultsOf: readonly string[];
}

/** Makes handlers that wait, and writes down each of their calls. */
export class Recorder {
  readonly calls: Call[] = [];
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A handler that takes `waitMs`; of 0 it returns at once, without a timer. Its output is the step's name. */
  handler(step: string, waitMs: number): StepHandler {
    return async ({ taskId, attempt, results, signal }) => {
      const startedMs = this.#clock.monotonicMs();
      if (waitMs > 0) await sleep(this.#clock, waitMs, signal);
      const resultsOf = Object.keys(results).toSorted();
      this.calls.push({ taskId, step, attempt, startedMs, endedMs: this.#clock.monotonicMs(), resultsOf });
      return { step };
    };
  }
}
