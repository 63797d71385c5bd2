import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { claimSteps } from "../../src/engine/claim.ts";
import { traceOnce } from "../../src/analytics/critical-path.ts";
import { Elections } from "../../src/engine/leadership.ts";
import { deleteEndedTasks } from "../../src/engine/retention.ts";
import { newId } from "../../src/engine/ids.ts";
import type { Database, Sql } from "../../src/postgres/sql.ts";
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
async function oldSession(t: TestContext): Promise<{ db: Database; mine: TestTemplate; others: TestTemplate }> {
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
      where schemaname = 'tasker' and relname in ('tasks', 'workflow_steps', 'workflow_step_edges', 'workflow_step_results',
        'workflow_step_heartbeats', 'concurrency_limits')`;
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

test("so does claiming beside a queue of steps that a concurrency limit holds back, and of such steps", async (t) => {
  const { db, mine, others } = await oldSession(t);
  const limited = await register(db, { only: [] }, { name: "limited", concurrency: { only: 1 } });
  for (const template of [others, limited, mine]) {
    await create(
      db,
      template,
      Array.from({ length: queued }, () => ({ priority: template === mine ? 0 : 1 })),
    );
  }
  const namedStepIds = [...limited.stepIds.values(), ...mine.stepIds.values()];
  for (let round = 0; round < 3; round++) {
    const rows = await rowsVisited(db, async () => {
      const owner = newId();
      const { claims } = await claimSteps(db, { workerId: owner, namedStepIds, limit: 10, leaseMs: 30_000 });
      assert.equal(claims.filter((held) => limited.stepIds.get("only") === held.namedStepId).length, 1);
      assert.equal(claims.length, 10);
      await settle(db, ...claims.map((held) => success({ ...held, owner })));
    });
    assert.ok(rows > 0 && rows < queued / 8, `${rows} rows`);
  }
});

test("deleting old tasks visits what goes, however many others there are", async (t) => {
  const { db, mine, others } = await oldSession(t);
  const elections = new Elections(db, 600_000);
  const tracer = await elections.lead("critical_path");
  const cleaner = await elections.lead("retention");
  assert.ok(tracer !== null && cleaner !== null);
  await traceOnce(db, tracer, 1000);
  await create(
    db,
    others,
    Array.from({ length: queued }, () => ({})),
  );
  // The eight tasks of the old session, of two steps each; days: none at all, so that all that ended is due.
  assert.ok(mine.stepCount === 2);
  let deleted = 0;
  const rows = await rowsVisited(db, async () => {
    ({ deleted } = await deleteEndedTasks(db, cleaner, { days: 0, tasksMax: 20 }));
  });
  assert.equal(deleted, 8);
  assert.ok(rows > 0 && rows < queued / 8, `${rows} rows`);
});
