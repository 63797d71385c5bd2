import { readFileSync } from "node:fs";
import { basename } from "node:path";

import { templateLimits } from "../../src/workflow/template.ts";
import { inTopologicalOrder } from "./graph.ts";
import { stepNames } from "./step-names.ts";
import { TraceError } from "./trace-error.ts";
import { decodeWfFormat, type WfTask, type WfTasks } from "./wfformat.ts";

/** A task of a trace as a step. */
export interface TraceStep {
  /** The task's id in the trace. */
  readonly id: string;
  /** Valid as the name of a step, and unique. */
  readonly name: string;
  /** Measured when the trace was recorded. */
  readonly runSeconds: number;
  /** Ids, each once. */
  readonly parents: readonly string[];
}

/** An execution that can be replayed. */
export interface Trace {
  readonly name: string;
  /** In topological order, otherwise as they stand in the file. */
  readonly steps: readonly TraceStep[];
  readonly edgeCount: number;
  /** What the reader should know: what the trace does not say, and what was put in its place. */
  readonly notes: readonly string[];
}

/** @throws TraceError also when the file is no JSON; what the file system says when it cannot be read */
export function readTrace(path: string): Trace {
  const name = basename(path).replace(/\.json$/u, "");
  const text = readFileSync(path, "utf8");
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw new TraceError(name, `${path} is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
  return parseTrace(name, document);
}

/**
 * Reads an execution in WfFormat 1.5. An edge counts once, whether the parent, the child or both name it.
 *
 * @throws TraceError: not WfFormat 1.5, no tasks or too many, an id twice, an unknown parent or child, a cycle
 */
export function parseTrace(name: string, document: unknown): Trace {
  const decoded = decodeWfFormat(name, document);
  const { tasks } = decoded;
  if (tasks.length === 0) throw new TraceError(name, "it has no tasks");
  if (tasks.length > templateLimits.steps) {
    throw new TraceError(
      name,
      `it has ${tasks.length} tasks; at most ${templateLimits.steps} can be steps of one template`,
    );
  }
  const parents = parentsOf(name, tasks);
  const sorted = inTopologicalOrder(tasks.map(({ id }) => ({ id, parents: [...(parents.get(id) ?? [])] })));
  if ("cycle" in sorted) throw new TraceError(name, `its tasks wait for each other: ${sorted.cycle.join(" -> ")}`);
  const names = stepNames(tasks.map((task) => task.id));
  const steps = sorted.order.map((node) => ({
    ...node,
    name: names.get(node.id) ?? node.id,
    runSeconds: decoded.runSeconds.get(node.id) ?? 0,
  }));
  const edgeCount = steps.reduce((count, step) => count + step.parents.length, 0);
  return { name, steps, edgeCount, notes: notesOn(decoded) };
}

/** The parents of each task: those that it names, and those that name it as a child. */
function parentsOf(trace: string, tasks: readonly WfTask[]): Map<string, Set<string>> {
  const parents = new Map<string, Set<string>>();
  for (const { id } of tasks) {
    if (parents.has(id)) throw new TraceError(trace, `two tasks have the id ${JSON.stringify(id)}`);
    parents.set(id, new Set());
  }
  for (const task of tasks) {
    for (const parent of task.parents) {
      if (!parents.has(parent)) throw unknown(trace, task.id, "parent", parent);
      parents.get(task.id)?.add(parent);
    }
    for (const child of task.children) {
      const of = parents.get(child);
      if (of === undefined) throw unknown(trace, task.id, "child", child);
      of.add(task.id);
    }
  }
  return parents;
}

function unknown(trace: string, id: string, kin: "parent" | "child", named: string): TraceError {
  return new TraceError(
    trace,
    `task ${JSON.stringify(id)} names the ${kin} ${JSON.stringify(named)}, but no task has that id`,
  );
}

function notesOn({ tasks, runSeconds }: WfTasks): string[] {
  const known = new Set(tasks.map((task) => task.id));
  const untimed = tasks.filter(({ id }) => (runSeconds.get(id) ?? null) === null).map((task) => task.id);
  const strange = [...runSeconds.keys()].filter((id) => !known.has(id));
  return [
    ...(untimed.length === 0 ? [] : [`no run time for ${listed(untimed)}: replayed as 0 s`]),
    ...(strange.length === 0 ? [] : [`executed, but not specified: ${listed(strange)}: left out`]),
  ];
}

const listedMax = 3;

function listed(ids: readonly string[]): string {
  const more = ids.length > listedMax ? ` and ${ids.length - listedMax} more` : "";
  return `${ids.slice(0, listedMax).join(", ")}${more}`;
}
