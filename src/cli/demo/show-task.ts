import type { TaskerClient } from "../../client/client.ts";
import type { TaskOutcome } from "../../engine/read-task.ts";
import type { StepBody } from "../../http/api-types.ts";
import { duration } from "../format.ts";
import { table } from "../table.ts";
import type { Terminal } from "../terminal.ts";

/** Shows one of the tasks that have ended, as the API tells of it: one with a step that was tried again, if there is one. */
export async function showTask(
  client: TaskerClient,
  terminal: Terminal,
  outcomes: readonly TaskOutcome[],
  signal: AbortSignal,
): Promise<void> {
  const complete = outcomes.filter(({ state }) => state === "complete");
  const chosen = complete.find(isRetried) ?? complete[0] ?? outcomes[0];
  if (chosen === undefined) return;
  const task = await client.task(chosen.id, { signal });
  const took = secondsBetween(task.created_at, task.ended_at);
  terminal.print(
    terminal.style("bold", `One of them: ${task.namespace}/${task.name}, ${task.state} after ${duration(took)}`),
  );
  terminal.print(`  GET /v1/tasks/${task.id}`);
  const columns = [
    { heading: "step" },
    { heading: "state" },
    { heading: "attempts", align: "right" },
    { heading: "waited", align: "right" },
    { heading: "ran", align: "right" },
  ] as const;
  for (const line of table(columns, task.steps.map(rowOf))) terminal.print(`  ${line}`);
  terminal.print();
}

/** An order's receipt ends in the number of the attempt that the bank accepted. */
function isRetried({ outputs }: TaskOutcome): boolean {
  return /"receipt":"C-\d+-[2-9]"/u.test(JSON.stringify(outputs));
}

function rowOf(step: StepBody): string[] {
  return [
    step.name,
    step.state,
    String(step.attempt),
    duration(secondsBetween(step.ready_at, step.first_started_at)),
    duration(step.run_seconds),
  ];
}

function secondsBetween(from: string | null, to: string | null): number | null {
  return from === null || to === null ? null : Math.max(0, (new Date(to).getTime() - new Date(from).getTime()) / 1000);
}
