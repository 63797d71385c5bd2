import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";

import { releaseLeases } from "../../src/engine/claim.ts";
import { cancelTask } from "../../src/engine/operate.ts";
import { testDatabase } from "../support/database.ts";
import {
  claim,
  claimStep,
  create,
  createTask,
  databaseTime,
  failStep,
  findStep,
  moveClock,
  onlyRow,
  register,
  runStep,
  statesOf,
  stopClock,
  success,
  settle,
} from "../support/engine.ts";
import { checkInvariants } from "./invariants.ts";

const { db } = await testDatabase({ after });
await stopClock(db);
afterEach(() => checkInvariants(db));

test("a claim carries all that a handler needs, and leases the step", async () => {
  const template = await register(db, { a: [] }, { name: "carried" });
  const taskId = await createTask(db, template, { input: { x: 1 }, correlationId: "c", inputChecked: false });
  const held = await claimStep(db, template, "a", { leaseSeconds: 30 });
  const { owner, ...claimed } = held;
  assert.deepEqual(claimed, {
    stepId: await findStep(db, taskId, "a"),
    taskId,
    namedStepId: template.stepIds.get("a"),
    revisionId: template.revisionId,
    life: 1,
    attempt: 1,
    failedAttempts: 0,
    input: { x: 1 },
    inputChecked: false,
    results: null,
    correlationId: "c",
    limitedNamespaceId: null,
  });
  const lease = await onlyRow(
    db,
    `select state, lease_owner, lease_expires_at - tasker.clock() = interval '30 s' as "isLong" from tasker.workflow_steps where id = $1`,
    [held.stepId],
  );
  assert.deepEqual(lease, { state: "in_progress", lease_owner: owner, isLong: true });
  assert.equal((await statesOf(db, taskId)).task, "in_progress");
});

test("the highest priority is claimed first, then the oldest", async () => {
  const template = await register(db, { a: [] }, { name: "ordered" });
  const ids: string[] = [];
  for (const priority of [0, 5, -3, 5, 0]) {
    ids.push(await createTask(db, template, { priority }));
    await moveClock(db, 1);
  }
  const order: string[] = [];
  for (let i = 0; i < 5; i++) order.push((await claimStep(db, template, "a")).taskId);
  assert.deepEqual(
    order,
    [1, 3, 0, 4, 2].map((index) => ids[index]),
  );
});

test("within one claim the order is the same", async () => {
  const template = await register(db, { a: [] }, { name: "ordered batch".replace(" ", "_") });
  const created = await create(db, template, [{ priority: 1 }, { priority: 3 }, { priority: 2 }]);
  const claims = await claim(db, template);
  assert.deepEqual(
    claims.map(({ taskId }) => taskId),
    [1, 2, 0].map((index) => created[index]?.id),
  );
});

test("a step's age is the time since which it may run, so that a retry does not overtake", async () => {
  const template = await register(db, { a: [] }, { name: "aged", retry: { maxAttempts: 2 } });
  const first = await createTask(db, template);
  await failStep(db, template, "a", { retryAfterSeconds: 10 });
  await moveClock(db, 5);
  const second = await createTask(db, template);
  await moveClock(db, 60);
  assert.deepEqual(
    (await claim(db, template)).map(({ taskId }) => taskId),
    [second, first],
  );
});

test("a worker claims only steps it has a handler for", async () => {
  const template = await register(db, { a: [], b: [] }, { name: "handled" });
  const other = await register(db, { a: [] }, { name: "handled", version: "2.0.0" });
  await createTask(db, template);
  await createTask(db, other);
  const claims = await claim(db, template, { steps: ["b"] });
  assert.deepEqual(
    claims.map(({ namedStepId }) => namedStepId),
    [template.stepIds.get("b")],
  );
  assert.deepEqual(await claim(db, template, { steps: ["b"] }), []);
  assert.equal((await claim(db, template)).length, 1);
  assert.equal((await claim(db, other)).length, 1);
});

test("a claim takes no more than its limit", async () => {
  const template = await register(db, { a: [] }, { name: "limited" });
  await create(db, template, [{}, {}, {}, {}, {}]);
  assert.equal((await claim(db, template, { limit: 2 })).length, 2);
  assert.equal((await claim(db, template, { limit: 2 })).length, 2);
  assert.equal((await claim(db, template, { limit: 2 })).length, 1);
  assert.equal((await claim(db, template, { limit: 2 })).length, 0);
});

test("claimers at the same time never share a step, and nothing is left", async () => {
  const template = await register(db, { a: [] }, { name: "shared" });
  await create(
    db,
    template,
    Array.from({ length: 300 }, () => ({})),
  );
  const claimAll = async () => {
    const taken: string[] = [];
    for (;;) {
      const claims = await claim(db, template, { limit: 7 });
      if (claims.length === 0) return taken;
      taken.push(...claims.map(({ stepId }) => stepId));
    }
  };
  const taken = (await Promise.all([claimAll(), claimAll(), claimAll(), claimAll()])).flat();
  // A claimer that finds only locked rows goes away empty: the others had those.
  taken.push(...(await claimAll()));
  assert.equal(taken.length, 300);
  assert.equal(new Set(taken).size, 300);
});

test("a step that another transaction is about to claim is passed over, not waited for", async () => {
  const template = await register(db, { a: [] }, { name: "passed" });
  await create(db, template, [{}, {}]);
  await db.transaction(async (sql) => {
    const first = await claimStep(sql, template, "a");
    const second = await claimStep(db, template, "a");
    assert.notEqual(first.stepId, second.stepId);
    assert.deepEqual(await claim(db, template), []);
  });
});

test("a claim that is rolled back leaves the step for others", async () => {
  const template = await register(db, { a: [] }, { name: "undone" });
  const task = await createTask(db, template);
  await assert.rejects(
    db.transaction(async (sql) => {
      await claimStep(sql, template, "a");
      throw new Error("no");
    }),
  );
  assert.deepEqual(await statesOf(db, task), { task: "pending", steps: { a: "enqueued" } });
  assert.equal((await claimStep(db, template, "a")).attempt, 1);
});

test("a task whose row is locked at the claim of its first step is in progress at the latest with its first result", async () => {
  const template = await register(db, { a: [], b: [] }, { name: "started" });
  const task = await createTask(db, template);
  const held = await db.transaction(async (sql) => {
    await sql.query({ text: "select from tasker.tasks where id = $1 for no key update", values: [task] });
    return claimStep(db, template, "a");
  });
  assert.equal((await statesOf(db, task)).task, "pending");
  await settle(db, success(held));
  assert.equal((await statesOf(db, task)).task, "in_progress");
});

test("a claim's five times are in order, each later than the one before", async () => {
  const template = await register(db, { a: [], b: ["a"] }, { name: "timed", retry: { maxAttempts: 2 } });
  const task = await createTask(db, template);
  await moveClock(db, 1);
  await runStep(db, template, "a", 2);
  await moveClock(db, 3);
  await failStep(db, template, "b", { seconds: 4, retryAfterSeconds: 5 });
  await moveClock(db, 6);
  await runStep(db, template, "b", 7);
  const times = await onlyRow<{ seconds: number[] }>(
    db,
    `select array[extract(epoch from ready_at - created_at), extract(epoch from first_started_at - ready_at),
        extract(epoch from started_at - first_started_at), extract(epoch from finished_at - started_at)]::int[] as seconds
      from tasker.workflow_steps where id = $1`,
    [await findStep(db, task, "b")],
  );
  assert.deepEqual(times.seconds, [3, 3, 10, 7]);
});

test("the times stay in order when the clock goes back", async () => {
  const template = await register(db, { a: [], b: ["a"] }, { name: "backwards", retry: { maxAttempts: 2 } });
  const task = await createTask(db, template);
  const createdAt = await databaseTime(db);
  const held = await claimStep(db, template, "a");
  await moveClock(db, -5);
  await settle(db, success(held));
  await moveClock(db, 100);
  await runStep(db, template, "b");
  const { finished } = await onlyRow<{ finished: string }>(
    db,
    "select finished_at as finished from tasker.workflow_steps where id = $1",
    [await findStep(db, task, "a")],
  );
  assert.equal(finished, createdAt);
  assert.equal((await statesOf(db, task)).task, "complete");
});

test("a step that was given back after the clock had gone back does not start before it started", async () => {
  const template = await register(db, { a: [] }, { name: "returned", retry: { maxAttempts: 2 } });
  const task = await createTask(db, template);
  await failStep(db, template, "a", { seconds: 10, retryAfterSeconds: 0 });
  const held = await claimStep(db, template, "a");
  await moveClock(db, -5);
  assert.equal(await releaseLeases(db, held.owner, [held]), 1);
  await settle(db, success(await claimStep(db, template, "a")));
  await moveClock(db, 5);
  const fact = await onlyRow(db, "select retry_us, queue_wait_us from tasker.step_facts where task_id = $1", [task]);
  assert.deepEqual(fact, { retry_us: 10_000_000, queue_wait_us: 0 });
});

test("results of parents come with the claim, by their names, whatever else the task has done", async () => {
  const template = await register(db, { a: [], b: [], c: ["a"], d: ["a", "b", "c"] }, { name: "results" });
  await createTask(db, template);
  await runStep(db, template, "a", 0, { id: 1, list: ["x", null] });
  await runStep(db, template, "b", 0, null);
  const c = await claimStep(db, template, "c");
  assert.deepEqual(c.results, { a: { id: 1, list: ["x", null] } });
  await settle(db, success(c, "text"));
  assert.deepEqual((await claimStep(db, template, "d")).results, {
    a: { id: 1, list: ["x", null] },
    b: null,
    c: "text",
  });
});

test("the steps of a cancelled task are not claimed", async () => {
  const template = await register(db, { a: [] }, { name: "gone" });
  await cancelTask(db, await createTask(db, template), { actor: "test", reason: "" });
  assert.deepEqual(await claim(db, template), []);
});
