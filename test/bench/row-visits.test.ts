import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import type { Sql } from "../../src/postgres/sql.ts";
import { openTestPool, testDatabase } from "../support/database.ts";
import {
  claim,
  create,
  createTask,
  onlyRow,
  register,
  runStep,
  settle,
  success,
  type TestTemplate,
} from "../support/engine.ts";

/** Enough that a plan which reads a whole table shows, whatever else is read. */
const queued = 3000;

/** One session, whose plans were made when the tables were nearly empty. */
async function oldSession(t: TestContext): Promise<{ db: Sql; mine: TestTemplate; others: TestTemplate }> {
  const { url } = await testDatabase(t);
  const db = openTestPool(url, 1);
  t.after(() => db.close());
  const others = await register(db, { only: [] }, { name: "others" });
  const mine = await register(db, { first: [], second: ["first"] }, { name: "mine" });
  for (let round = 0; round < 8; round++) {
    await createTask(db, mine);
    for (const step of ["first", "second"]) await runStep(db, mine, step);
  }
  return { db, mine, others };
}

/** The rows that the engine's tables gave to statements while `work` ran, found by an index or by reading all. */
async function rowsVisited(db: Sql, work: () => Promise<unknown>): Promise<number> {
  const visited = async (): Promise<number> => {
    // Sessions report what they did now and then only; this one does it with the next statement's end.
    await db.query({ text: "select pg_stat_force_next_flush()" });
    const text = `select (sum(seq_tup_read) + sum(idx_tup_fetch))::bigint as rows from pg_stat_user_tables
      where schemaname = 'tasker' and relname in ('tasks', 'workflow_steps', 'workflow_step_edges', 'workflow_step_results')`;
    return (await onlyRow<{ rows: number }>(db, text)).rows;
  };
  const before = await visited();
  await work();
  return (await visited()) - before;
}

test("claiming and settling a step visits a few rows, however many are queued and whoever they are for", async (t) => {
  const { db, mine, others } = await oldSession(t);
  await create(
    db,
    others,
    Array.from({ length: queued }, () => ({})),
  );
  await create(
    db,
    mine,
    Array.from({ length: queued }, () => ({})),
  );
  const work = async (): Promise<void> => {
    const [held] = await claim(db, mine, { limit: 1 });
    assert.ok(held);
    await settle(db, success(held));
  };
  for (let round = 0; round < 3; round++) {
    const rows = await rowsVisited(db, work);
    assert.ok(rows > 0 && rows < queued / 20, `${rows} rows`);
  }
});
