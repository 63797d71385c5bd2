import { createHash } from "node:crypto";

import { defaultRetryPolicy } from "../../src/workflow/retry.ts";
import { TaskDefinition } from "../../src/workflow/define-task.ts";
import type { Recorder } from "./recorder.ts";
import { templateNameOf } from "./step-names.ts";
import type { Trace } from "./trace.ts";

/** The namespace of all replays. */
export const replayNamespace = "replay";

/**
 * A trace as a task definition whose handlers wait as long as its tasks ran, times `scale`.
 *
 * The version is a hash of the graph: another graph under the same name is another template, the same one again is not.
 */
export function definitionOf(trace: Trace, scale: number, recorder: Recorder): TaskDefinition {
  const nameOf = new Map(trace.steps.map((step) => [step.id, step.name]));
  const steps = trace.steps.map(({ name, parents }) => ({
    name,
    after: parents.map((parent) => nameOf.get(parent) ?? parent),
    retry: defaultRetryPolicy,
    timeoutMs: null,
  }));
  const handlers = new Map(
    trace.steps.map(({ name, runSeconds }) => [name, recorder.handler(name, runSeconds * 1000 * scale)] as const),
  );
  const graph = JSON.stringify(steps.map(({ name, after }) => [name, after]));
  const version = createHash("sha256").update(graph).digest("hex").slice(0, 12);
  const name = { namespace: replayNamespace, name: templateNameOf(trace.name), version };
  // Not step by step: each `step` checks the whole definition, which is meant for definitions that people type.
  return new TaskDefinition(name, undefined, steps, handlers);
}

/** The scale at which the longest step of a trace waits for `longestSeconds`. */
export function scaleFor(trace: Trace, longestSeconds: number): number {
  const longest = Math.max(...trace.steps.map((step) => step.runSeconds));
  return longest === 0 ? 1 : longestSeconds / longest;
}
