import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";

import { releaseLeases, renewLeases } from "../../src/engine/claim.ts";
import { newId } from "../../src/engine/ids.ts";
import { cancelTask } from "../../src/engine/operate.ts";
import { readTask } from "../../src/engine/read-task.ts";
import { rescueExpired } from "../../src/engine/rescue.ts";
import type { Sql } from "../../src/postgres/sql.ts";
import { testDatabase } from "../support/database.ts";
import {
  claim,
  claimStep,
  create,
  createTask,
  databaseTime,
  failStep,
  moveClock,
  onlyRow,
  register,
  settle,
  statesOf,
  stopClock,
  success,
} from "../support/engine.ts";
import { checkInvariants } from "./invariants.ts";

const { db } = await testDatabase({ after });
await stopClock(db);
afterEach(async () => {
  await checkInvariants(db);
  // The rescuer looks at all that runs: nothing of one test may run in the next.
  await db.query({ text: "select tasker.cancel_task(id, 'test', 'over') from tasker.tasks where ended_at is null" });
});

const leaseMs = 30_000;
const noJitter = () => 0;

test("an expired lease goes back to the queue as a failed attempt, after the step's own backoff", async () => {
  const retry = { maxAttempts: 3, initialDelayMs: 4000, factor: 3, maxDelayMs: 60_000 };
  const template = await register(db, { a: [] }, { name: "rescued", retry });
  const task = await createTask(db, template);
  await claimStep(db, template, "a", { leaseSeconds: 30 });
  await moveClock(db, 30);
  assert.equal((await rescueExpired(db, noJitter)).found, 0, "the lease ends now, it is not over yet");
  await moveClock(db, 0.000_001);
  const rescued = await rescueExpired(db, () => 0.5);
  assert.deepEqual([rescued.found, rescued.accepted.size, rescued.endedTasks.length], [1, 1, 0]);
  assert.deepEqual(rescued.wakeNamespaces, [template.namespaceId]);

  const [step] = (await readTask(db, task))?.steps ?? [];
  assert.deepEqual([step?.state, step?.failedAttempts], ["waiting_for_retry", 1]);
  assert.deepEqual(step?.lastError, {
    name: "LeaseExpiredError",
    code: "lease_expired",
    message: "the lease of attempt 1 ran out",
  });
  await moveClock(db, 2);
  const again = await claimStep(db, template, "a", { leaseSeconds: 1 });
  assert.deepEqual([again.attempt, again.failedAttempts], [2, 1]);
  await moveClock(db, 2);
  await rescueExpired(db, () => 0.5);
  await moveClock(db, 5.999);
  assert.deepEqual(await claim(db, template), [], "the second wait is three times as long");
  await moveClock(db, 0.001);
  assert.equal((await claimStep(db, template, "a")).attempt, 3);
});

test("an expired lease of the last attempt fails the step and ends its task", async () => {
  const template = await register(db, { a: [], b: ["a"] }, { name: "exhausted", retry: { maxAttempts: 2 } });
  const task = await createTask(db, template);
  await failStep(db, template, "a", { retryAfterSeconds: 0 });
  await claimStep(db, template, "a", { leaseSeconds: 1 });
  await moveClock(db, 2);
  assert.deepEqual((await rescueExpired(db, noJitter)).endedTasks, [task]);
  assert.deepEqual(await statesOf(db, task), { task: "error", steps: { a: "error", b: "blocked" } });
});

test("the policy is that of the revision which the task pins", async () => {
  const old = await register(db, { a: [] }, { name: "pinned", retry: { maxAttempts: 1 } });
  const task = await createTask(db, old);
  await register(db, { a: [] }, { name: "pinned", retry: { maxAttempts: 5 } });
  await claimStep(db, old, "a", { leaseSeconds: 1 });
  await moveClock(db, 2);
  await rescueExpired(db, noJitter);
  assert.equal((await statesOf(db, task)).task, "error");
});

test("a renewed lease is not rescued, and lasts as long again from the renewal on", async () => {
  const template = await register(db, { a: [] }, { name: "renewed" });
  const task = await createTask(db, template);
  const held = await claimStep(db, template, "a", { leaseSeconds: 30 });
  await moveClock(db, 20);
  assert.deepEqual(await renewLeases(db, held.owner, [held], leaseMs), new Set([held.stepId]));
  await moveClock(db, 30);
  assert.equal((await rescueExpired(db, noJitter)).found, 0);
  assert.equal((await statesOf(db, task)).steps["a"], "in_progress");
  await moveClock(db, 0.001);
  assert.equal((await rescueExpired(db, noJitter)).found, 1);
});

test("a lease that ran out can be renewed as long as nobody has taken the step", async () => {
  const template = await register(db, { a: [] }, { name: "revived" });
  await createTask(db, template);
  const held = await claimStep(db, template, "a", { leaseSeconds: 30 });
  await moveClock(db, 100);
  assert.equal((await renewLeases(db, held.owner, [held], leaseMs)).size, 1);
  assert.equal((await rescueExpired(db, noJitter)).found, 0);
  assert.equal((await settle(db, success(held))).accepted.size, 1);
});

test("a lease that is renewed between the rescuer's look and its settlement is left alone", async () => {
  const template = await register(db, { a: [] }, { name: "between" });
  const task = await createTask(db, template);
  const held = await claimStep(db, template, "a", { leaseSeconds: 30 });
  await moveClock(db, 31);
  /** Renews when the rescuer has looked. */
  const sql: Sql = {
    async query(statement) {
      if (statement.name === "settle_steps") await renewLeases(db, held.owner, [held], leaseMs);
      return db.query(statement);
    },
  };
  const rescued = await rescueExpired(sql, noJitter);
  assert.deepEqual([rescued.found, rescued.accepted.size], [1, 0]);
  assert.equal((await statesOf(db, task)).steps["a"], "in_progress");
  assert.equal((await settle(db, success(held))).accepted.size, 1);
});

test("two rescuers at once rescue a step once", async () => {
  const template = await register(db, { a: [] }, { name: "rescuers", retry: { maxAttempts: 9 } });
  await create(
    db,
    template,
    Array.from({ length: 20 }, () => ({})),
  );
  await claim(db, template, { leaseSeconds: 1 });
  await moveClock(db, 2);
  const rescued = await Promise.all(Array.from({ length: 4 }, () => rescueExpired(db, noJitter)));
  assert.equal(
    rescued.reduce((sum, { accepted }) => sum + accepted.size, 0),
    20,
  );
  const rows = await db.query({
    text: "select distinct failed_attempts as n from tasker.workflow_steps where named_task_id = $1",
    values: [template.namedTaskId],
  });
  assert.deepEqual(rows, [{ n: 1 }]);
});

test("renewing returns only what is still held: not what ended, was cancelled, or has another owner, life or attempt", async () => {
  const template = await register(db, { a: [] }, { name: "holds" });
  await create(
    db,
    template,
    Array.from({ length: 6 }, () => ({})),
  );
  const owner = newId();
  const [kept, ended, cancelled, foreign, life, attempt] = await claim(db, template, { owner });
  assert.ok(kept && ended && cancelled && foreign && life && attempt);
  await settle(db, success(ended));
  await cancelTask(db, cancelled.taskId, { actor: "test", reason: "" });
  const asked = [kept, ended, cancelled, { ...life, life: 2 }, { ...attempt, attempt: 2 }];
  assert.deepEqual(await renewLeases(db, owner, asked, leaseMs), new Set([kept.stepId]));
  assert.deepEqual(await renewLeases(db, newId(), [foreign], leaseMs), new Set());
});

test("a step that was given back can be claimed at once, by the same attempt number", async () => {
  const template = await register(db, { a: [] }, { name: "returned", retry: { maxAttempts: 2 } });
  const task = await createTask(db, template);
  const held = await claimStep(db, template, "a");
  await moveClock(db, 3);
  assert.equal(await releaseLeases(db, held.owner, [held]), 1);
  assert.deepEqual(await statesOf(db, task), { task: "in_progress", steps: { a: "enqueued" } });
  const times = await onlyRow(
    db,
    "select available_at, started_at, first_started_at, attempt from tasker.workflow_steps where id = $1",
    [held.stepId],
  );
  assert.deepEqual(times, {
    available_at: await databaseTime(db),
    started_at: null,
    first_started_at: null,
    attempt: 0,
  });
  const again = await claimStep(db, template, "a");
  assert.deepEqual([again.attempt, again.failedAttempts], [1, 0]);
  assert.equal((await settle(db, success(held, "of the first owner"))).accepted.size, 0);
  assert.equal((await settle(db, success(again))).accepted.size, 1);
});

test("giving back a later attempt keeps the failures before it", async () => {
  const template = await register(db, { a: [] }, { name: "kept", retry: { maxAttempts: 3 } });
  const task = await createTask(db, template);
  await failStep(db, template, "a", { seconds: 5, retryAfterSeconds: 0 });
  const held = await claimStep(db, template, "a");
  assert.equal(await releaseLeases(db, held.owner, [held]), 1);
  await moveClock(db, 60);
  const again = await claimStep(db, template, "a");
  assert.deepEqual([again.attempt, again.failedAttempts], [2, 1]);
  await settle(db, success(again));
  const fact = await onlyRow(
    db,
    "select attempts, failed_attempts, retry_us from tasker.step_facts where task_id = $1",
    [task],
  );
  assert.deepEqual(fact, { attempts: 2, failed_attempts: 1, retry_us: 65_000_000 });
});

test("only what is held can be given back", async () => {
  const template = await register(db, { a: [] }, { name: "unheld" });
  await createTask(db, template);
  const held = await claimStep(db, template, "a");
  assert.equal(await releaseLeases(db, newId(), [held]), 0);
  assert.equal(await releaseLeases(db, held.owner, [{ ...held, attempt: 2 }]), 0);
  await settle(db, success(held));
  assert.equal(await releaseLeases(db, held.owner, [held]), 0);
});
