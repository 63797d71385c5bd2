import assert from "node:assert/strict";
import { test } from "node:test";

import { defaultBottlenecks } from "../../src/analytics/parameters.ts";
import { testDatabase } from "../support/database.ts";
import { clockStart, stopClock } from "../support/engine.ts";
import { checkBottlenecks, checkPerformance } from "./oracle-check.ts";
import { seededList } from "./oracle-history.ts";
import { answersEqualOracle } from "./oracle-questions.ts";
import type { History } from "./oracle.ts";

for (const seed of [11, 12]) {
  test(`every field of both answers is the oracle's, for the history of seed ${seed}`, async (t) => {
    await answersEqualOracle(t, { tasks: 800, days: 24, identities: 60, seed }, 12);
  });
}

test("the comparison notices a single end that went otherwise", async (t) => {
  const database = await testDatabase(t);
  await stopClock(database.db, clockStart);
  const history = await seededList(database, { tasks: 300, days: 2, identities: 40, seed: 5 });
  const { stepEnds, taskEnds } = history;
  const [step, ...otherSteps] = stepEnds.toSorted((a, b) => b.runUs - a.runUs);
  const [task, ...otherTasks] = taskEnds.toSorted((a, b) => b.durationUs - a.durationUs);
  assert.ok(step?.outcome === "complete" && task?.outcome === "complete");
  const changed: Record<string, History> = {
    "a step that is missing": { ...history, stepEnds: otherSteps },
    "a step that ran a little longer": { ...history, stepEnds: [{ ...step, runUs: step.runUs + 1000 }, ...otherSteps] },
    "a step that was tried once more": {
      ...history,
      stepEnds: [{ ...step, attempts: step.attempts + 1 }, ...otherSteps],
    },
    "a step that waited longer for its parents": {
      ...history,
      stepEnds: [{ ...step, dependencyWaitUs: step.dependencyWaitUs + 1000 }, ...otherSteps],
    },
    "a task that failed": { ...history, taskEnds: [{ ...task, outcome: "error" }, ...otherTasks] },
    "a task that was never accepted": { ...history, tasks: history.tasks.slice(1) },
  };
  const question = { ...defaultBottlenecks, hours: 0, limit: 100, min_executions: 1 };
  await checkPerformance(database.db, history, question);
  await checkBottlenecks(database.db, history, question);
  for (const [what, list] of Object.entries(changed)) {
    await assert.rejects(checkPerformance(database.db, list, question), assert.AssertionError, what);
    await assert.rejects(checkBottlenecks(database.db, list, question), assert.AssertionError, what);
  }
});
