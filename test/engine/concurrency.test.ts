import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";

import { renewLeases } from "../../src/engine/claim.ts";
import { cancelTask, resetStep } from "../../src/engine/operate.ts";
import { rescueExpired } from "../../src/engine/rescue.ts";
import type { Sql } from "../../src/postgres/sql.ts";
import { testDatabase } from "../support/database.ts";
import { deferred } from "../support/deferred.ts";
import {
  claim,
  claimStep,
  createTask,
  databaseTime,
  failure,
  findStep,
  onlyRow,
  register,
  runStep,
  settle,
  statesOf,
  success,
  untilBlocked,
} from "../support/engine.ts";
import { checkInvariants } from "./invariants.ts";

// On the real clock: what happens at the same time here has times that differ.
const { db } = await testDatabase({ after });
afterEach(() => checkInvariants(db));

const operator = { actor: "test", reason: "because" };

/** Holds the row of a task in a transaction of its own until the returned function is called. */
async function holdTask(task: string): Promise<() => Promise<void>> {
  const [held, release] = [deferred(), deferred()];
  const transaction = db.transaction(async (sql) => {
    await sql.query({ text: "select from tasker.tasks where id = $1 for no key update", values: [task] });
    held.resolve();
    await release.promise;
  });
  await Promise.race([held.promise, transaction]);
  return async () => {
    release.resolve();
    await transaction;
  };
}

/** Starts all of `works` while the task's row is held, so that they wait for it in line, and lets them go together. */
async function collide<T>(task: string, works: readonly (() => Promise<T>)[]): Promise<T[]> {
  const letGo = await holdTask(task);
  const results: Promise<T>[] = [];
  for (const work of works) {
    results.push(work());
    await untilBlocked(db, results.length);
  }
  await letGo();
  return Promise.all(results);
}

test("two batches that end a task's last two steps at once complete it exactly once", async () => {
  const template = await register(db, { a: [], b: [] }, { name: "last-two" });
  const task = await createTask(db, template);
  const [a, b] = await claim(db, template);
  assert.ok(a && b);
  const settled = await collide(task, [() => settle(db, success(a)), () => settle(db, success(b))]);
  assert.deepEqual(
    settled.map(({ endedTasks }) => endedTasks),
    [[], [task]],
  );
  assert.equal((await statesOf(db, task)).task, "complete");
  const facts = await db.query({
    text: "select outcome, step_count from tasker.task_facts where task_id = $1",
    values: [task],
  });
  assert.deepEqual(facts, [{ outcome: "complete", step_count: 2 }]);
});

test("two batches that end the last two parents of a step at once release it exactly once", async () => {
  const template = await register(db, { a: [], b: [], c: ["a", "b"] }, { name: "parents" });
  const task = await createTask(db, template);
  const [a, b] = await claim(db, template);
  assert.ok(a && b);
  await collide(task, [() => settle(db, success(a)), () => settle(db, success(b))]);
  const row = await onlyRow(
    db,
    "select state, unmet_dependencies as unmet, released_by from tasker.workflow_steps where id = $1",
    [await findStep(db, task, "c")],
  );
  assert.deepEqual(row, { state: "enqueued", unmet: 0, released_by: b.stepId });
});

test("a failure and a success of the last two steps at once end the task in error, in either order", async () => {
  const template = await register(db, { a: [], b: [], c: ["a", "b"] }, { name: "mixed" });
  for (const isFailureFirst of [true, false]) {
    const task = await createTask(db, template);
    const [a, b] = await claim(db, template);
    assert.ok(a && b);
    const works = [() => settle(db, failure(a)), () => settle(db, success(b))];
    await collide(task, isFailureFirst ? works : works.toReversed());
    assert.deepEqual(await statesOf(db, task), {
      task: "error",
      steps: { [await nameOf(a.namedStepId)]: "error", [await nameOf(b.namedStepId)]: "complete", c: "blocked" },
    });
  }
  async function nameOf(id: number): Promise<string> {
    return (await onlyRow<{ name: string }>(db, "select name from tasker.named_steps where id = $1", [id])).name;
  }
});

test("the same result sent by two connections at once is recorded once", async () => {
  const template = await register(db, { a: [] }, { name: "same" });
  const task = await createTask(db, template);
  const held = await claimStep(db, template, "a");
  const settled = await collide(task, [() => settle(db, success(held, 1)), () => settle(db, success(held, 2))]);
  assert.deepEqual(
    settled.map(({ accepted }) => accepted.size),
    [1, 0],
  );
});

test("of a cancellation and a result at once the first counts, and the other is refused or dropped", async () => {
  const template = await register(db, { a: [] }, { name: "cancel-or-end" });
  const first = await createTask(db, template);
  const held = await claimStep(db, template, "a");
  const late = (): Promise<number> => settle(db, success(held)).then(({ accepted }) => accepted.size);
  assert.deepEqual(await collide<unknown>(first, [() => cancelTask(db, first, operator), late]), [undefined, 0]);
  assert.deepEqual(await statesOf(db, first), { task: "cancelled", steps: { a: "cancelled" } });

  const second = await createTask(db, template);
  const other = await claimStep(db, template, "a");
  const [, refused] = await collide<unknown>(second, [
    () => settle(db, success(other)),
    () => cancelTask(db, second, operator).catch((error: unknown) => error),
  ]);
  assert.ok(refused instanceof Error && "code" in refused && refused.code === "wrong_state");
  assert.equal((await statesOf(db, second)).task, "complete");
});

test("a step that two operators reset at once gets one new life", async () => {
  const template = await register(db, { a: [], b: [] }, { name: "resets" });
  const task = await createTask(db, template);
  await settle(db, failure(await claimStep(db, template, "a")));
  const step = await findStep(db, task, "a");
  const outcomes = await collide<unknown>(
    task,
    [1, 2].map(() => () => resetStep(db, step, operator).catch((error: unknown) => error)),
  );
  assert.equal(outcomes.filter((outcome) => outcome instanceof Error).length, 1);
  assert.equal((await claimStep(db, template, "a")).life, 2);
});

test("a claim whose transaction began before its parent's end has its times in order", async () => {
  const template = await register(db, { a: [], b: ["a"] }, { name: "older" });
  const task = await createTask(db, template);
  await db.transaction(async (sql) => {
    await sql.query({ text: "select now()" });
    await runStep(db, template, "a");
    await claimStep(sql, template, "b");
  });
  const row = await onlyRow(
    db,
    `select created_at <= ready_at and ready_at <= first_started_at and first_started_at <= started_at as "areOrdered",
        ready_at <> started_at as "areDistinct" from tasker.workflow_steps where id = $1`,
    [await findStep(db, task, "b")],
  );
  assert.deepEqual(row, { areOrdered: true, areDistinct: true });
});

test("a result that waited for its task's row is as late as it was recorded, and its child is ready only then", async () => {
  const template = await register(db, { a: [], b: ["a"] }, { name: "waited" });
  const task = await createTask(db, template);
  const a = await claimStep(db, template, "a");
  const letGo = await holdTask(task);
  const settling = settle(db, success(a));
  await untilBlocked(db, 1);
  const whileItWaited = await databaseTime(db);
  await letGo();
  await settling;
  const { finished_at } = await onlyRow<{ finished_at: string }>(
    db,
    "select finished_at from tasker.workflow_steps where id = $1",
    [a.stepId],
  );
  assert.ok(finished_at > whileItWaited);
  const b = await onlyRow(db, "select ready_at from tasker.workflow_steps where id = $1", [
    await findStep(db, task, "b"),
  ]);
  assert.deepEqual(b, { ready_at: finished_at });
});

test("a rescuer that waits for a task whose worker renews meanwhile leaves the lease alone", async () => {
  const template = await register(db, { a: [] }, { name: "meanwhile" });
  const task = await createTask(db, template);
  const held = await claimStep(db, template, "a", { leaseSeconds: 0 });
  const [rescued] = await collide<unknown>(task, [
    () => rescueExpired(db, () => 0),
    async () => {
      await renewLeases(db, held.owner, [held], 60_000);
      // The row is not the task's: it does not wait. The line needs one more that does.
      return settle(db, success({ ...held, attempt: 9 }));
    },
  ]);
  assert.deepEqual(rescued, { accepted: new Set(), endedTasks: [], wakeNamespaces: [], found: 1 });
  assert.equal((await statesOf(db, task)).steps["a"], "in_progress");
});

test("claims never wait: not for a task's row, nor for a step that is being settled", async () => {
  const template = await register(db, { a: [], b: [] }, { name: "unhindered" });
  const task = await createTask(db, template);
  const letGo = await holdTask(task);
  const held = await claimStep(db, template, "a");
  const settling = settle(db, success(held));
  await untilBlocked(db, 1);
  assert.equal((await claimStep(db, template, "b")).taskId, task);
  await letGo();
  assert.equal((await settling).accepted.size, 1);
});

test("batches that touch the same tasks in another order do not deadlock", async () => {
  const graph = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`s${i}`, []]));
  const template = await register(db, graph, { name: "crossed" });
  for (let round = 0; round < 5; round++) {
    const tasks = [await createTask(db, template), await createTask(db, template), await createTask(db, template)];
    const held = await claim(db, template);
    const batches = [0, 1, 2, 3].map((part) => held.filter((_, index) => index % 4 === part));
    const settleShuffled = (batch: typeof held, index: number): ReturnType<typeof settle> =>
      settle(db, ...(index % 2 === 0 ? batch : batch.toReversed()).map((one) => success(one)));
    const renewAll = (sql: Sql) =>
      Promise.all(held.map((one) => renewLeases(sql, one.owner, held.toReversed(), 60_000)));
    await Promise.all([...batches.map(settleShuffled), renewAll(db)]);
    for (const task of tasks) assert.equal((await statesOf(db, task)).task, "complete");
  }
});
