import { type AnyTaskDefinition, TaskDefinition } from "../../src/workflow/define-task.ts";
import { defaultRetryPolicy } from "../../src/workflow/retry.ts";

/** Tasks of one template whose handlers do nothing. */
export interface Workload {
  readonly name: string;
  readonly definition: AnyTaskDefinition;
  readonly stepsPerTask: number;
}

/** Steps and the names of those before them, in order. */
type Graph = readonly (readonly [name: string, after: readonly string[]])[];

/** A workload of this graph; `onRun` is called by each handler. */
function workload(name: string, graph: Graph, onRun: () => void): Workload {
  const steps = graph.map(([step, after]) => ({ name: step, after, retry: defaultRetryPolicy, timeoutMs: null }));
  const handlers = new Map(graph.map(([step]) => [step, onRun] as const));
  const template = { namespace: "bench", name: name.replaceAll(" ", "_"), version: "1" };
  return { name, definition: new TaskDefinition(template, undefined, steps, handlers), stepsPerTask: graph.length };
}

const chainLength = 10;
const fanWidth = 100;

/** The workloads whose throughput is measured. */
export function workloads(onRun: () => void): Workload[] {
  const links = Array.from({ length: chainLength }, (_, index) => `link_${index}`);
  const branches = Array.from({ length: fanWidth }, (_, index) => `branch_${index}`);
  return [
    workload("single step", [["only", []]], onRun),
    workload(
      "chain of 10",
      links.map((link, index) => [link, links.slice(Math.max(0, index - 1), index)] as const),
      onRun,
    ),
    workload("fan of 100 and join", [...branches.map((branch) => [branch, []] as const), ["join", branches]], onRun),
  ];
}

/** When a step's handler began and ended, by the monotonic clock. */
export interface Span {
  startedMs: number;
  endedMs: number;
}

/** A chain whose handlers note their times: `onRun` is told the place in the chain, from 0. */
export function timedChain(
  nowMs: () => number,
  onRun: (taskId: string, place: number, span: Span) => void,
): AnyTaskDefinition {
  const handler =
    (place: number) =>
    ({ taskId }: { readonly taskId: string }): void => {
      const startedMs = nowMs();
      onRun(taskId, place, { startedMs, endedMs: nowMs() });
    };
  const template = { namespace: "bench", name: "timed_chain", version: "1" };
  const names = Array.from({ length: chainLength }, (_, index) => `link_${index}`);
  const steps = names.map((name, index) => ({
    name,
    after: names.slice(Math.max(0, index - 1), index),
    retry: defaultRetryPolicy,
    timeoutMs: null,
  }));
  return new TaskDefinition(template, undefined, steps, new Map(names.map((name, index) => [name, handler(index)])));
}
