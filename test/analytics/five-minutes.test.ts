import assert from "node:assert/strict";
import { after, test } from "node:test";

import type { Database } from "../../src/postgres/sql.ts";
import { testDatabase } from "../support/database.ts";
import { foldAll, onlyRow, setClock, stopClock } from "../support/engine.ts";

const { db } = await testDatabase({ after });
const now = "2026-03-10T12:34:00.000000Z";
await stopClock(db, now);

const { id: identity } = await onlyRow<{ id: number }>(
  db,
  `insert into tasker.analytics_identities (namespace_name, task_name, version, step_name)
    values ('shop', 'order', '1', 'pay') returning id`,
);
const hour = 3600;

/** Ends a step so many seconds before the database's time. */
async function endStep(secondsAgo: number): Promise<void> {
  await db.query({
    text: `insert into tasker.step_facts (ended_at, tick, dependency_wait_us, queue_wait_us, retry_us, run_us, task_id, identity_id,
        attempts, failed_attempts, outcome, reopened)
      values (tasker.clock() - $1 * interval '1 second', tasker.tick(), 0, 0, 0, 1000, gen_random_uuid(), $2, 1, 0, 'complete', false)`,
    values: [secondsAgo, identity],
  });
}

async function completed(sql: Database, hours: number): Promise<number> {
  const text = `select coalesce(sum(completed), 0)::integer as n
    from tasker.window_figures(tasker.window_start($1, tasker.clock()), tasker.clock(), null)`;
  return (await onlyRow<{ n: number }>(sql, text, [hours])).n;
}

async function buckets(): Promise<string[]> {
  const rows = await db.query<{ at: string }>({
    text: "select to_char(bucket_start at time zone 'UTC', 'DD HH24:MI') as at from tasker.rollups where grain = 'f' order by 1",
  });
  return rows.map(({ at }) => at);
}

async function forget(): Promise<void> {
  for (const table of ["step_facts", "rollups", "rollup_histograms", "overall_histograms"])
    await db.query({ text: `delete from tasker.${table}` });
  await db.query({ text: "update tasker.fold_state set fives_from = '-infinity'" });
  await setClock(db, now);
}

test("the hour in which a window begins is read from five minutes, and only its first minutes from facts", async (t) => {
  t.after(forget);
  // The window of 24 hours begins at 12:34: facts to 12:35, five minutes to 13:00.
  const minutesAfterBeginning = [0, 0.5, 1, 5, 25.9];
  for (const minutes of minutesAfterBeginning) await endStep(24 * hour - minutes * 60);
  await endStep(24 * hour + 1);
  await foldAll(db);
  assert.deepEqual(await buckets(), ["09 12:30", "09 12:35", "09 12:55"]);
  assert.equal(await completed(db, 24), 5);

  // What the answer is made of: without the facts the first two of them are missing, without the five minutes the others.
  await db.query({ text: "delete from tasker.step_facts" });
  assert.equal(await completed(db, 24), 3);
  await db.query({ text: "delete from tasker.rollups where grain = 'f'" });
  assert.equal(await completed(db, 24), 0);
});

test("the longest window that begins at a minute is right until five minutes are dropped and after", async (t) => {
  t.after(forget);
  await endStep(48 * hour - 90);
  await endStep(71 * hour);
  await endStep(73 * hour);
  await foldAll(db);
  assert.deepEqual(await buckets(), ["07 11:30", "07 13:30", "08 12:35"]);
  for (let passed = 0; passed < 2; passed++) {
    await db.query({ text: "select tasker.drop_expired_five_minutes()" });
    assert.deepEqual(await buckets(), ["07 13:30", "08 12:35"]);
    assert.equal(await completed(db, 48), 1);
  }
  await setClock(db, "2026-03-10T20:00:00.000000Z");
  await db.query({ text: "select tasker.drop_expired_five_minutes()" });
  assert.deepEqual(await buckets(), ["08 12:35"]);
});

test("a clock that is set back asks for no five minutes that are dropped, and none are made anew", async (t) => {
  t.after(forget);
  await endStep(24 * hour - 600);
  await foldAll(db);
  await setClock(db, "2026-03-14T00:00:00.000000Z");
  await db.query({ text: "select tasker.drop_expired_five_minutes()" });
  await setClock(db, now);
  assert.deepEqual(await buckets(), []);
  assert.equal(await completed(db, 24), 1);
  await endStep(24 * hour - 700);
  await foldAll(db);
  assert.deepEqual(await buckets(), []);
  assert.equal(await completed(db, 24), 2);
});

test("a window that begins before five minutes are kept is read from facts", async (t) => {
  t.after(forget);
  await endStep(24 * hour - 600);
  await foldAll(db);
  // Asked later for a window that ended then.
  await setClock(db, "2026-03-20T00:00:00.000000Z");
  await db.query({ text: "select tasker.drop_expired_five_minutes()" });
  assert.deepEqual(await buckets(), []);
  const text = `select sum(completed)::integer as n from tasker.window_figures(tasker.window_start(24, $1), $1, null)`;
  assert.equal((await onlyRow<{ n: number }>(db, text, [now])).n, 1);
});

test("a database from before five minutes gets them from its facts", async (t) => {
  t.after(forget);
  for (const minutes of [1, 5, 25]) await endStep(24 * hour - minutes * 60);
  await foldAll(db);
  const tables = ["rollups", "rollup_histograms", "overall_histograms"];
  const rows = async (): Promise<unknown[]> => {
    const all = tables.map((table) => db.query({ text: `select * from tasker.${table} order by 1, 2, 3` }));
    return Promise.all(all);
  };
  const folded = await rows();
  for (const table of tables) await db.query({ text: `delete from tasker.${table} where grain = 'f'` });
  assert.notDeepEqual(await rows(), folded);
  await db.query({ text: "select tasker.rebuild_five_minutes()" });
  assert.deepEqual(await rows(), folded);
});
