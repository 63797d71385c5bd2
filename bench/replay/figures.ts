import type { Evidence, Run } from "./evidence.ts";
import { sum } from "../support/statistics.ts";
import { longestPath } from "./graph.ts";

/** How long a run took, in milliseconds, beside what it had to take. */
export interface RunFigures {
  readonly stepCount: number;
  /** From the submission to the news of the task's end. */
  readonly wallMs: number;
  /** The handlers' run times together, as they measured them. */
  readonly handlersMs: number;
  /** The longest way through the graph by the handlers' measured run times: no engine can be faster. */
  readonly criticalPathMs: number;
  /** Steps on that way. */
  readonly hops: number;
}

/** The figures of each run. */
export function figuresOf({ trace, runs, calls }: Evidence): RunFigures[] {
  const figures = ({ taskId, wallMs }: Run): RunFigures => {
    const own = calls.filter((call) => call.taskId === taskId);
    const runMs = new Map(own.map((call) => [call.step, call.endedMs - call.startedMs]));
    const path = longestPath(trace.steps, ({ name }) => runMs.get(name) ?? 0);
    return {
      stepCount: trace.steps.length,
      wallMs,
      handlersMs: sum([...runMs.values()]),
      criticalPathMs: path.length,
      hops: path.hops,
    };
  };
  return runs.map(figures);
}
