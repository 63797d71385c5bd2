import assert from "node:assert/strict";
import { after, test } from "node:test";

import { resetStep } from "../../src/engine/operate.ts";
import { testDatabase } from "../support/database.ts";
import { createTask, failStep, findStep, moveClock, register, runStep, stopClock } from "../support/engine.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

test("the history of a step and a task is whole, though the ends that workers report are facts", async () => {
  const template = await register(db, { a: [], b: ["a"] });
  const task = await createTask(db, template);
  await failStep(db, template, "a", { seconds: 1 });
  await moveClock(db, 1);
  const [a, b] = [await findStep(db, task, "a"), await findStep(db, task, "b")];
  await resetStep(db, a, { actor: "ada", reason: "the disk was full" });
  await runStep(db, template, "a", 1);
  await runStep(db, template, "b", 1);

  const history = async (view: string, id: string): Promise<unknown[][]> => {
    const column = view === "task_history" ? "task_id" : "step_id";
    const rows = await db.query<{ row: unknown[] }>({
      text: `select jsonb_build_array(from_state, to_state, life, reason) as row, recorded_at from tasker.${view}
        where ${column} = $1 order by recorded_at, life, to_state`,
      values: [id],
    });
    return rows.map(({ row }) => row);
  };
  assert.deepEqual(await history("task_history", task), [
    [null, "pending", 1, null],
    ["pending", "in_progress", 1, null],
    ["in_progress", "error", 1, null],
    ["error", "in_progress", 2, "the disk was full"],
    ["in_progress", "complete", 2, null],
  ]);
  assert.deepEqual(await history("workflow_step_history", a), [
    ["enqueued", "in_progress", 1, null],
    ["in_progress", "error", 1, null],
    ["error", "enqueued", 2, "the disk was full"],
    ["enqueued", "in_progress", 2, null],
    ["in_progress", "complete", 2, null],
  ]);
  assert.deepEqual(await history("workflow_step_history", b), [
    ["pending", "blocked", 1, null],
    ["blocked", "pending", 2, "the disk was full"],
    ["pending", "enqueued", 2, null],
    ["enqueued", "in_progress", 2, null],
    ["in_progress", "complete", 2, null],
  ]);

  const ends = await db.query<{ actor: string; n: number }>({
    text: `select actor, count(*) as n from (
        select actor from tasker.task_facts where task_id = $1 union all select actor from tasker.step_facts where task_id = $1) f
      group by actor`,
    values: [task],
  });
  assert.deepEqual(ends, [{ actor: "test", n: 6 }]);
});
