import { bottleneckSorts } from "../../src/analytics/parameters.ts";
import { Random } from "../../src/seed-history/random.ts";
import type { HistoryParameters } from "../../src/seed-history/parameters.ts";
import { type Scope, testDatabase } from "../support/database.ts";
import { foldAll, stopClock } from "../support/engine.ts";
import { checkBottlenecks, checkPerformance } from "./oracle-check.ts";
import { seededList } from "./oracle-history.ts";
import type { History, Question } from "./oracle.ts";

/** The retention of facts is 14 days; 24 days of history have days that only rollups know. */
const windows = [0, 1, 5, 24, 48, 49, 7 * 24, 20 * 24, 8760];

/**
 * Seeds a history and compares both answers with the oracle's, for windows, filters, sorts and limits: with everything folded as
 * it was seeded, and with nothing folded.
 */
export async function answersEqualOracle(
  scope: Scope,
  parameters: HistoryParameters,
  questions: number,
): Promise<void> {
  const database = await testDatabase(scope);
  const { db } = database;
  await stopClock(db, "2026-03-10T12:34:56.000000Z");
  const history = await seededList(database, parameters);
  const random = new Random(parameters.seed, 99);
  const ask = async (hours: number): Promise<void> => {
    const question = { hours, ...filterOf(random, history) };
    await checkPerformance(db, history, question);
    const sort = pick(random, bottleneckSorts);
    const min_executions = pick(random, [1, 2, 5, 30]);
    await checkBottlenecks(db, history, { ...question, sort, limit: pick(random, [1, 3, 10, 100]), min_executions });
  };
  for (let index = 0; index < questions; index++) await ask(windows[index % windows.length] ?? 0);
  // What only rollups know is lost with them: shorter windows.
  for (const table of ["rollups", "rollup_histograms", "overall_histograms"])
    await db.query({ text: `truncate tasker.${table}` });
  await db.query({ text: "update tasker.fold_state set watermark = 0" });
  await db.query({ text: "truncate tasker.state_deltas" });
  for (const hours of [1, 24, 7 * 24]) await ask(hours);
  await foldAll(db);
  for (const hours of [5, 48, 10 * 24]) await ask(hours);
}

function filterOf(random: Random, { tasks }: History): Omit<Question, "hours"> {
  const { namespace_name: namespace, task_name, version } = pick(random, tasks);
  return pick(random, [
    {},
    {},
    { namespace },
    { task_name },
    { version },
    { namespace, task_name, version },
    { namespace: "nobody" },
  ]);
}

function pick<Value>(random: Random, values: readonly Value[]): Value {
  // There is at least one.
  return values[random.between(0, values.length - 1)] as Value;
}
