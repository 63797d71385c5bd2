import type { Backlog, NamespaceBacklog, UnclaimableSteps } from "../http/api-types.ts";
import { count, duration } from "./format.ts";
import { type Column, table } from "./table.ts";

/** A Backlog for people: a line for each namespace, and one for each kind of step that no worker could claim. */
export function backlogLines({ namespaces, unclaimable }: Backlog): string[] {
  if (namespaces.length === 0) return ["", "no namespace is registered"];
  return ["", ...table(columns, namespaces.map(rowOf)), ...unclaimableLines(unclaimable)];
}

function unclaimableLines(unclaimable: readonly UnclaimableSteps[]): string[] {
  if (unclaimable.length === 0) return [];
  const lines = unclaimable.map(
    ({ namespace_name, task_name, version, step_name, steps, steps_is_exact, oldest_seconds }) =>
      `  ${namespace_name}/${task_name} ${version} ${step_name}: ${steps_is_exact ? "" : ">= "}${count(steps)}, the oldest for ${duration(oldest_seconds)}`,
  );
  return ["", "no worker has a handler for these steps:", ...lines];
}

const columns: readonly Column[] = [
  { heading: "namespace" },
  ...["queued", "claimable", "oldest", "running", "a minute", "drained in"].map((heading) => ({
    heading,
    align: "right" as const,
  })),
];

function rowOf(of: NamespaceBacklog): string[] {
  return [
    of.namespace_name,
    count(of.queued_steps),
    `${of.claimable_is_exact ? "" : "<= "}${count(of.claimable_steps)}`,
    duration(of.oldest_claimable_seconds),
    count(of.running_steps),
    count(of.executions_per_second * 60),
    duration(of.drain_seconds),
  ];
}
