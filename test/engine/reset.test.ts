import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";

import { resetStep } from "../../src/engine/operate.ts";
import { testDatabase } from "../support/database.ts";
import {
  claimStep,
  createTask,
  failStep,
  failure,
  findStep,
  moveClock,
  register,
  runStep,
  settle,
  statesOf,
  stopClock,
  success,
} from "../support/engine.ts";
import { checkInvariants } from "./invariants.ts";

const { db } = await testDatabase({ after });
await stopClock(db);
afterEach(() => checkInvariants(db));

const operator = { actor: "ada", reason: "the supplier is back" };

test("a reset begins a new life of a failed step, whose attempts count from 0", async () => {
  const template = await register(db, { a: [] }, { name: "reset", retry: { maxAttempts: 2 } });
  const task = await createTask(db, template);
  await failStep(db, template, "a", { seconds: 1, retryAfterSeconds: 0 });
  await failStep(db, template, "a", { seconds: 1 });
  await moveClock(db, 50);
  const step = await findStep(db, task, "a");
  assert.equal(await resetStep(db, step, operator), template.namespaceId);
  assert.deepEqual(await statesOf(db, task), { task: "in_progress", steps: { a: "enqueued" } });
  const held = await claimStep(db, template, "a");
  assert.deepEqual([held.life, held.attempt, held.failedAttempts], [2, 1, 0]);
  await settle(db, success(held, "mended"));
  assert.equal((await statesOf(db, task)).task, "complete");

  const facts = await db.query({
    text: `select outcome, reopened, attempts, failed_attempts, dependency_wait_us + queue_wait_us + retry_us + run_us as life_us
      from tasker.step_facts where task_id = $1 order by ended_at`,
    values: [task],
  });
  assert.deepEqual(facts, [
    { outcome: "error", reopened: false, attempts: 2, failed_attempts: 2, life_us: 2_000_000 },
    { outcome: "complete", reopened: true, attempts: 1, failed_attempts: 0, life_us: 0 },
  ]);
});

test("a result of the life before a reset changes nothing", async () => {
  const template = await register(db, { a: [] }, { name: "former" });
  const task = await createTask(db, template);
  const former = await claimStep(db, template, "a");
  await settle(db, failure(former));
  await resetStep(db, await findStep(db, task, "a"), operator);
  await claimStep(db, template, "a", { owner: former.owner });
  assert.equal((await settle(db, success(former, "old"))).accepted.size, 0);
});

test("a reset revives what was blocked below the step, and nothing else", async () => {
  const template = await register(
    db,
    { a: [], b: ["a"], c: ["b"], x: [], y: ["x"], both: ["b", "y"] },
    { name: "revived" },
  );
  const task = await createTask(db, template);
  await failStep(db, template, "a");
  await failStep(db, template, "x");
  assert.deepEqual(await statesOf(db, task), {
    task: "error",
    steps: { a: "error", b: "blocked", c: "blocked", x: "error", y: "blocked", both: "blocked" },
  });
  await resetStep(db, await findStep(db, task, "a"), operator);
  assert.deepEqual(await statesOf(db, task), {
    task: "in_progress",
    steps: { a: "enqueued", b: "pending", c: "pending", x: "error", y: "blocked", both: "pending" },
  });
  for (const step of ["a", "b", "c"]) await runStep(db, template, step);
  assert.deepEqual(await statesOf(db, task), {
    task: "error",
    steps: { a: "complete", b: "complete", c: "complete", x: "error", y: "blocked", both: "blocked" },
  });
  await resetStep(db, await findStep(db, task, "x"), operator);
  for (const step of ["x", "y", "both"]) await runStep(db, template, step);
  assert.equal((await statesOf(db, task)).task, "complete");
});

test("a failed step can be reset while the rest of its task still runs", async () => {
  const template = await register(db, { a: [], b: [] }, { name: "running" });
  const task = await createTask(db, template);
  await failStep(db, template, "a");
  await resetStep(db, await findStep(db, task, "a"), operator);
  await runStep(db, template, "a");
  assert.equal((await statesOf(db, task)).task, "in_progress");
  await runStep(db, template, "b");
  assert.equal((await statesOf(db, task)).task, "complete");
});
