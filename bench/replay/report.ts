import { median } from "../support/statistics.ts";
import { table } from "../support/table.ts";
import type { Evidence } from "./evidence.ts";
import { figuresOf, type RunFigures } from "./figures.ts";

const header = [
  "trace",
  "steps",
  "edges",
  "wall s",
  "sum of waits s",
  "steps/s",
  "critical path s",
  "hops",
  "overhead ms",
  "ms/hop",
];

function rowOf(evidence: Evidence): string[] {
  const { trace } = evidence;
  const runs = figuresOf(evidence);
  const of = (figure: (run: RunFigures) => number): number => median(runs.map(figure));
  const overheadMs = of((run) => run.wallMs - run.criticalPathMs);
  return [
    trace.name,
    String(trace.steps.length),
    String(trace.edgeCount),
    (of((run) => run.wallMs) / 1000).toFixed(2),
    (of((run) => run.handlersMs) / 1000).toFixed(2),
    of((run) => (run.stepCount * 1000) / run.wallMs).toFixed(0),
    (of((run) => run.criticalPathMs) / 1000).toFixed(2),
    of((run) => run.hops).toFixed(0),
    overheadMs.toFixed(0),
    of((run) => (run.wallMs - run.criticalPathMs) / run.hops).toFixed(1),
  ];
}

/** The replays as a table; of several runs of a trace the medians. */
export function reportOf(results: readonly Evidence[]): string {
  return table(header, results.map(rowOf));
}
