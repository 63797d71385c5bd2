import { hourUs } from "../../src/seed-history/calendar.ts";
import { taskHistories } from "../../src/seed-history/lives.ts";
import type { HistoryParameters } from "../../src/seed-history/parameters.ts";
import { seedHistory } from "../../src/seed-history/seed-history.ts";
import { planTemplates } from "../../src/seed-history/templates.ts";
import type { TestDatabase } from "../support/database.ts";
import { databaseTime } from "../support/engine.ts";
import type { AcceptedTask, History, StepEnd, TaskEnd } from "./oracle.ts";

/** Seeds the database, whose clock is stopped, and returns the list of what it was seeded with. */
export async function seededList({ db, url }: TestDatabase, parameters: HistoryParameters): Promise<History> {
  const nowUs = Date.parse(await databaseTime(db)) * 1000;
  const untilUs = nowUs - 0.37 * hourUs;
  await seedHistory({
    database: db,
    connectionString: url,
    connectTimeoutMs: 30_000,
    parameters,
    factsRetentionDays: 14,
    force: true,
    untilUs,
  });
  return listOf(parameters, untilUs, nowUs);
}

/** The same history once more, as a list. */
export function listOf(parameters: HistoryParameters, untilUs: number, nowUs: number): History {
  const tasks: AcceptedTask[] = [];
  const stepEnds: StepEnd[] = [];
  const taskEnds: TaskEnd[] = [];
  for (const history of taskHistories(parameters, planTemplates(parameters), untilUs)) {
    const { namespace: namespace_name, name: task_name, version, steps } = history.template;
    const template = { namespace_name, task_name, version };
    const stepStates = steps.map(() => "pending");
    for (const { position, ...step } of history.steps) {
      stepStates[position] = step.outcome;
      stepEnds.push({ ...template, ...step, step_name: steps[position]?.name ?? "" });
    }
    for (const end of history.ends) taskEnds.push({ ...template, ...end, stepCount: steps.length });
    const state = history.ends.at(-1)?.outcome ?? "pending";
    tasks.push({ ...template, createdAtUs: history.createdAtUs, state, stepStates });
  }
  return { nowUs, tasks, stepEnds, taskEnds };
}
