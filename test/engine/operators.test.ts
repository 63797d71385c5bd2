import assert from "node:assert/strict";
import { after, test } from "node:test";

import { cancelTask, resetStep, resolveStep, resolveTask } from "../../src/engine/operate.ts";
import { testDatabase } from "../support/database.ts";
import { createTask, failStep, findStep, register, stopClock } from "../support/engine.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

const by = { actor: "ada", reason: "the supplier is back" };

/** The changes of a task and its steps that name who made them, in their order: subject, states, actor, reason. */
async function signed(task: string): Promise<string[]> {
  const rows = await db.query<{ change: string }>({
    text: `select subject || ' ' || from_state || ' -> ' || to_state || ' by ' || actor || ': ' || reason as change from (
        select 'task' as subject, from_state::text, to_state::text, actor, reason, recorded_at
          from tasker.task_transitions where task_id = $1
        union all
        select n.name, t.from_state::text, t.to_state::text, t.actor, t.reason, t.recorded_at
          from tasker.workflow_step_transitions t join tasker.workflow_steps s on s.id = t.step_id
          join tasker.named_steps n on n.id = s.named_step_id where s.task_id = $1) x
      where reason is not null order by recorded_at, subject`,
    values: [task],
  });
  return rows.map(({ change }) => change);
}

async function failedTask(name: string): Promise<{ task: string; step: string }> {
  const template = await register(db, { a: [], b: ["a"] }, { name });
  const task = await createTask(db, template);
  await failStep(db, template, "a");
  return { task, step: await findStep(db, task, "a") };
}

test("who cancelled a task, and why, is kept with it and with its steps", async () => {
  const template = await register(db, { a: [], b: ["a"] }, { name: "cancelled" });
  const task = await createTask(db, template);
  await cancelTask(db, task, by);
  assert.deepEqual(await signed(task), [
    "a enqueued -> cancelled by ada: the supplier is back",
    "b pending -> cancelled by ada: the supplier is back",
    "task pending -> cancelled by ada: the supplier is back",
  ]);
});

test("who reset a step, and why, is kept with it, with what revived and with the task", async () => {
  const { task, step } = await failedTask("reset");
  await resetStep(db, step, by);
  assert.deepEqual(await signed(task), [
    "a error -> enqueued by ada: the supplier is back",
    "b blocked -> pending by ada: the supplier is back",
    "task error -> in_progress by ada: the supplier is back",
  ]);
});

test("who resolved a step, and why, is kept with it, with what revived and with the task", async () => {
  const { task, step } = await failedTask("resolved");
  await resolveStep(db, step, by, null);
  assert.deepEqual(await signed(task), [
    "a error -> resolved_manually by ada: the supplier is back",
    "b blocked -> pending by ada: the supplier is back",
    "task error -> in_progress by ada: the supplier is back",
  ]);
});

test("who declared a task as dealt with, and why, is kept with it", async () => {
  const { task } = await failedTask("dealt_with");
  await resolveTask(db, task, by);
  assert.deepEqual(await signed(task), ["task error -> resolved_manually by ada: the supplier is back"]);
});

test("what is refused is signed by nobody", async () => {
  const { task, step } = await failedTask("refused");
  await assert.rejects(cancelTask(db, task, by), { code: "wrong_state" });
  await resetStep(db, step, by);
  const before = await signed(task);
  await assert.rejects(resetStep(db, step, { actor: "bob", reason: "me too" }), { code: "wrong_state" });
  await assert.rejects(resolveTask(db, task, { actor: "bob", reason: "me too" }), { code: "wrong_state" });
  assert.deepEqual(await signed(task), before);
});
