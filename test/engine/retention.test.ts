import assert from "node:assert/strict";
import { beforeEach, type TestContext, test } from "node:test";

import { traceOnce } from "../../src/analytics/critical-path.ts";
import { examineAnalytics } from "../../src/analytics/doctor.ts";
import { recordHeartbeats } from "../../src/engine/heartbeats.ts";
import { Elections, type Leadership } from "../../src/engine/leadership.ts";
import { cancelTask, resetStep } from "../../src/engine/operate.ts";
import { readTask } from "../../src/engine/read-task.ts";
import { deleteEndedTasks, type RetentionCursor, retentionChore } from "../../src/engine/retention.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { openTestPool, testDatabase } from "../support/database.ts";
import {
  claim,
  claimStep,
  create,
  createTask,
  failStep,
  findStep,
  foldAll,
  moveClock,
  onlyRow,
  register,
  runStep,
  settle,
  stopClock,
  success,
  type TestTemplate,
} from "../support/engine.ts";

const day = 24 * 3600;
let db: Database;
let leadership: Leadership;

beforeEach(async (t) => {
  const { url } = await testDatabase(t as TestContext);
  db = openTestPool(url, 2);
  (t as TestContext).after(() => db.close());
  await stopClock(db);
  const leader = await new Elections(db, 1e9).lead("retention");
  assert.ok(leader);
  leadership = leader;
});

async function traceAll(): Promise<void> {
  const leader = await new Elections(db, 1e9).lead(`critical_path ${Math.random()}`);
  assert.ok(leader);
  while ((await traceOnce(db, leader, 1000)).more);
}

/** Runs the steps of a template's oldest tasks until none can be claimed. */
async function runAll(sql: Database, template: TestTemplate): Promise<void> {
  for (let claims = await claim(sql, template); claims.length > 0; claims = await claim(sql, template)) {
    await settle(sql, ...claims.map((held) => success(held)));
  }
}

/** Everything there is of tasks. */
function rows(): Promise<Record<string, number>> {
  return onlyRow(
    db,
    `select (select count(*) from tasker.tasks) as tasks, (select count(*) from tasker.workflow_steps) as steps,
      (select count(*) from tasker.workflow_step_edges) as edges, (select count(*) from tasker.workflow_step_results) as results,
      (select count(*) from tasker.workflow_step_heartbeats) as heartbeats`,
  );
}

test("tasks that ended before go with all that hangs on them, others stay", async () => {
  const template = await register(db, { a: [], b: ["a"] });
  const single = await register(db, { a: [] }, { name: "single", retry: { maxAttempts: 2 } });
  const old = await createTask(db, template);
  const held = await claimStep(db, template, "a");
  await recordHeartbeats(db, [{ claim: held, progress: "1" }]);
  await settle(db, success(held));
  await runStep(db, template, "b");
  const cancelled = await createTask(db, template);
  await cancelTask(db, cancelled, { actor: "test", reason: "" });
  const failed = await createTask(db, single);
  await failStep(db, single, "a");
  const running = await createTask(db, template);
  const waiting = await createTask(db, single, { runAt: "2030-01-01T00:00:00Z" });
  await moveClock(db, 20 * day);
  const young = await createTask(db, single);
  await runStep(db, single, "a");
  await traceAll();
  await moveClock(db, 10 * day - 0.001);
  assert.deepEqual(await deleteEndedTasks(db, leadership, { days: 30 }), { deleted: 0, next: null });
  await moveClock(db, 0.002);
  assert.deepEqual(await deleteEndedTasks(db, leadership, { days: 30 }), { deleted: 3, next: null });
  for (const gone of [old, cancelled, failed]) assert.equal(await readTask(db, gone), null);
  for (const kept of [running, waiting, young]) assert.ok(await readTask(db, kept));
  assert.deepEqual(await rows(), { tasks: 3, steps: 4, edges: 1, results: 1, heartbeats: 0 });
});

test("no figure of the analytics shrinks, and their doctor finds nothing", async () => {
  const template = await register(db, { a: [], b: ["a"] });
  await create(db, template, [{}, {}, {}]);
  await runAll(db, template);
  await createTask(db, template);
  await foldAll(db);
  await traceAll();
  await moveClock(db, 31 * day);
  const figures = (): Promise<object> =>
    onlyRow(
      db,
      `select (select jsonb_agg(c order by c) from tasker.current_counts(null) c) as counts,
        (select jsonb_agg(r order by r) from tasker.rollups r) as rollups,
        (select jsonb_agg(p order by p) from tasker.critical_paths p where grain <> 'm') as paths`,
    );
  const before = await figures();
  assert.equal((await deleteEndedTasks(db, leadership, { days: 30 })).deleted, 3);
  await foldAll(db);
  assert.deepEqual(await figures(), before);
  assert.deepEqual((await examineAnalytics(db, { hours: 24, seed: 1, factsRetentionDays: 14 })).differences, []);
});

test("nothing is deleted before its critical path is traced", async () => {
  const template = await register(db, { a: [] });
  await createTask(db, template);
  await runStep(db, template, "a", 5);
  await moveClock(db, 31 * day);
  assert.deepEqual(await deleteEndedTasks(db, leadership, { days: 30 }), { deleted: 0, next: null });
  await traceAll();
  assert.equal((await deleteEndedTasks(db, leadership, { days: 30 })).deleted, 1);
  const paths = "select owned_us from tasker.critical_paths where grain = 'a'";
  assert.deepEqual(await onlyRow(db, paths), { owned_us: 5_000_000 });
});

test("batches are bounded by tasks and by steps, and a pass looks at each task once", async () => {
  const template = await register(db, { a: [], b: [] });
  for (let i = 0; i < 10; i++) {
    await createTask(db, template);
    if (i !== 3) await runAll(db, template);
    else await createTask(db, template, { runAt: "2030-01-01T00:00:00Z" });
    await moveClock(db, 1);
  }
  await runAll(db, template);
  await traceAll();
  await moveClock(db, 31 * day);
  const pass = async (bounds: { tasksMax?: number; stepsMax?: number }): Promise<number[]> => {
    const deleted: number[] = [];
    let after: RetentionCursor | null | undefined;
    while (after !== null) {
      const batch = await deleteEndedTasks(db, leadership, {
        days: 30,
        ...bounds,
        ...(after === undefined ? {} : { after }),
      });
      deleted.push(batch.deleted);
      after = batch.next;
    }
    return deleted;
  };
  assert.deepEqual(await pass({ tasksMax: 4 }), [4, 3, 3]);
  assert.deepEqual(await pass({ tasksMax: 4 }), [0]);
  await create(db, template, [{}, {}, {}]);
  await runAll(db, template);
  await traceAll();
  await moveClock(db, 31 * day);
  // Of two steps each: one task is always deleted, however many it has.
  assert.deepEqual(await pass({ stepsMax: 1 }), [1, 1, 1]);
  assert.equal((await rows())["tasks"], 1);
});

test("a leader that was replaced deletes nothing", async () => {
  const template = await register(db, { a: [] });
  await createTask(db, template);
  await runStep(db, template, "a");
  await traceAll();
  await moveClock(db, 31 * day);
  const replaced = { ...leadership, fence: leadership.fence - 1 };
  assert.deepEqual(await deleteEndedTasks(db, replaced, { days: 30 }), { deleted: 0, next: null });
  assert.equal((await deleteEndedTasks(db, leadership, { days: 30 })).deleted, 1);
});

test("a task that an operator has in hand is passed over, and one that was reopened stays", async () => {
  const template = await register(db, { a: [] });
  const task = await createTask(db, template);
  await failStep(db, template, "a");
  await traceAll();
  await moveClock(db, 31 * day);
  const step = await findStep(db, task, "a");
  await db.transaction(async (sql) => {
    await resetStep(sql, step, { actor: "test", reason: "again" });
    assert.equal((await deleteEndedTasks(db, leadership, { days: 30 })).deleted, 0);
  });
  assert.equal((await deleteEndedTasks(db, leadership, { days: 30 })).deleted, 0);
  await runStep(db, template, "a");
  assert.equal((await readTask(db, task))?.state, "complete");
});

test("the chore deletes all that is due, piece by piece; with a retention of 0 nothing", async () => {
  const template = await register(db, { a: [] });
  await create(
    db,
    template,
    Array.from({ length: 1500 }, () => ({ idempotencyKey: undefined })),
  );
  const keyed = await createTask(db, template, { idempotencyKey: "k" });
  await runAll(db, template);
  await traceAll();
  await moveClock(db, 31 * day);
  const chore = (tasksRetentionDays: number) =>
    retentionChore({ sql: db, intervalMs: 1000, tasksRetentionDays, logger: silentLogger });
  assert.equal(await chore(0).runOnce(leadership), false);
  assert.equal((await rows())["tasks"], 1501);
  const monthly = chore(30);
  assert.equal(await monthly.runOnce(leadership), true);
  assert.equal(await monthly.runOnce(leadership), false);
  assert.equal((await rows())["tasks"], 0);
  assert.notEqual(await createTask(db, template, { idempotencyKey: "k" }), keyed, "the key is free again");
});
