import type { Backlog, NamespaceBacklog } from "../http/api-types.ts";
import { count, duration } from "./format.ts";
import { type Column, table } from "./table.ts";

/** A Backlog for people: a line for each namespace. */
export function backlogLines({ namespaces }: Backlog): string[] {
  if (namespaces.length === 0) return ["", "no namespace is registered"];
  return ["", ...table(columns, namespaces.map(rowOf))];
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
