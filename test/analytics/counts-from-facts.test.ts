import assert from "node:assert/strict";
import { test } from "node:test";

import type { Sql } from "../../src/postgres/sql.ts";
import { testDatabase } from "../support/database.ts";
import { claim, create, createTask, failStep, onlyRow, register, runStep, settle, success } from "../support/engine.ts";

/** The counts by state that the analytics know, without those that are 0. */
async function counted(db: Sql): Promise<object> {
  const text = `select coalesce(jsonb_object_agg(subject || ' ' || state, count) filter (where count <> 0), '{}') as counts
    from tasker.current_counts(null)`;
  return (await onlyRow<{ counts: object }>(db, text)).counts;
}

/** The same from the rows themselves. */
async function recounted(db: Sql): Promise<object> {
  const text = `select jsonb_object_agg(what, n) as counts from (
    select 'task ' || state as what, count(*) as n from tasker.tasks group by 1
    union all select 'step ' || state, count(*) from tasker.workflow_steps group by 1) x`;
  return (await onlyRow<{ counts: object }>(db, text)).counts;
}

async function deltas(db: Sql): Promise<number> {
  return (await onlyRow<{ n: number }>(db, "select count(*) as n from tasker.state_deltas")).n;
}

test("a completion that ends steps and tasks writes facts and no deltas, and is counted before and after it is folded", async (t) => {
  const { db } = await testDatabase(t);
  const template = await register(db, { only: [] });
  await create(db, template, [{}, {}, {}]);
  const held = await claim(db, template, { limit: 2 });
  const before = await deltas(db);
  await settle(db, ...held.map((one) => success(one)));
  assert.equal(await deltas(db), before);
  const expected = { "step complete": 2, "step enqueued": 1, "task complete": 2, "task pending": 1 };
  assert.deepEqual(await counted(db), expected);
  await db.query({ text: "select tasker.fold(1000)" });
  assert.deepEqual(await counted(db), expected);
  assert.deepEqual(await recounted(db), expected);
});

test("endings and other changes in one batch are counted once each", async (t) => {
  const { db } = await testDatabase(t);
  const template = await register(db, { first: [], second: ["first"], third: ["second"] });
  await createTask(db, template);
  await runStep(db, template, "first");
  assert.deepEqual(await counted(db), await recounted(db));
  await failStep(db, template, "second", { retryAfterSeconds: 3600 });
  assert.deepEqual(await counted(db), await recounted(db));
  await createTask(db, template);
  await failStep(db, template, "first");
  assert.deepEqual(await counted(db), await recounted(db));
  await db.query({ text: "select tasker.fold(1000)" });
  assert.deepEqual(await counted(db), await recounted(db));
});

test("facts from before the column was have their deltas beside them, and are not counted twice", async (t) => {
  const { db } = await testDatabase(t);
  const template = await register(db, { only: [] });
  await createTask(db, template);
  await runStep(db, template, "only");
  // As the functions wrote it then.
  await db.query({
    text: `insert into tasker.state_deltas (recorded_at, tick, identity_id, delta, subject, state)
      select f.ended_at, f.tick, $1, c.delta, f.subject, c.state from (
          select ended_at, tick, 'step' as subject, from_state::text, outcome::text from tasker.step_facts
          union all select ended_at, tick, 'task', from_state::text, outcome::text from tasker.task_facts) f
        cross join lateral (values (f.from_state, -1), (f.outcome, 1)) c(state, delta)`,
    values: [template.namedTaskId],
  });
  for (const table of ["step_facts", "task_facts"])
    await db.query({ text: `update tasker.${table} set from_state = null` });
  assert.deepEqual(await counted(db), { "step complete": 1, "task complete": 1 });
  await db.query({ text: "select tasker.fold(1000)" });
  assert.deepEqual(await counted(db), { "step complete": 1, "task complete": 1 });
});
