import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";

import { cancelTask } from "../../src/engine/operate.ts";
import { readOutcomes, readTask } from "../../src/engine/read-task.ts";
import { testDatabase } from "../support/database.ts";
import {
  claim,
  claimStep,
  create,
  createTask,
  failStep,
  failure,
  moveClock,
  onlyRow,
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

/** Everything that a settlement may write. */
const everything = `select (select jsonb_agg(to_jsonb(t) order by t.id) from tasker.tasks t) as tasks,
  (select jsonb_agg(to_jsonb(s) order by s.id) from tasker.workflow_steps s) as steps,
  (select count(*) from tasker.workflow_step_results) as results, (select count(*) from tasker.step_facts) as facts,
  (select count(*) from tasker.workflow_step_history) as transitions, (select count(*) from tasker.state_deltas) as deltas`;

test("the last step's result completes the task", async () => {
  const template = await register(db, { a: [], b: ["a"] }, { name: "completed" });
  const task = await createTask(db, template);
  await runStep(db, template, "a", 0, 1);
  assert.deepEqual(await statesOf(db, task), { task: "in_progress", steps: { a: "complete", b: "enqueued" } });
  const settled = await settle(db, success(await claimStep(db, template, "b"), { done: true }));
  assert.deepEqual(settled.endedTasks, [task]);
  assert.deepEqual(await statesOf(db, task), { task: "complete", steps: { a: "complete", b: "complete" } });
  assert.deepEqual(await readOutcomes(db, [task]), [
    { id: task, state: "complete", outputs: { a: 1, b: { done: true } }, failure: null },
  ]);
});

test("a child is enqueued when the last of its parents ended, and knows which one that was", async () => {
  const template = await register(db, { a: [], b: [], c: ["a", "b"] }, { name: "released" });
  const task = await createTask(db, template);
  const [a, b] = [await claimStep(db, template, "a"), await claimStep(db, template, "b")];
  assert.deepEqual((await settle(db, success(b))).wakeNamespaces, []);
  assert.equal((await statesOf(db, task)).steps["c"], "pending");
  await moveClock(db, 1);
  assert.deepEqual((await settle(db, success(a))).wakeNamespaces, [template.namespaceId]);
  assert.equal((await statesOf(db, task)).steps["c"], "enqueued");
  const c = await claimStep(db, template, "c");
  const row = await onlyRow(db, "select released_by from tasker.workflow_steps where id = $1", [c.stepId]);
  assert.deepEqual(row, { released_by: a.stepId });
});

test("parents that end in one batch release their child once; of these, which end at the same time, the last by id did it", async () => {
  const template = await register(db, { a: [], b: [], c: ["a", "b"] }, { name: "together" });
  const task = await createTask(db, template);
  const held = await claim(db, template);
  await settle(db, ...held.map((step) => success(step)));
  assert.deepEqual(await statesOf(db, task), {
    task: "in_progress",
    steps: { a: "complete", b: "complete", c: "enqueued" },
  });
  const row = await onlyRow(db, "select released_by from tasker.workflow_steps where id = $1", [
    (await claimStep(db, template, "c")).stepId,
  ]);
  assert.deepEqual(row, {
    released_by: held
      .map(({ stepId }) => stepId)
      .toSorted()
      .at(-1),
  });
});

test("one batch may end steps of many tasks, well or not, and tells which tasks ended", async () => {
  const template = await register(db, { a: [] }, { name: "many", retry: { maxAttempts: 2 } });
  const created = await create(db, template, [{}, {}, {}, {}]);
  const byTask = new Map((await claim(db, template)).map((held) => [held.taskId, held]));
  const [done, failed, retried, late] = created.map(({ id }) => byTask.get(id));
  assert.ok(done && failed && retried && late);
  await cancelTask(db, late.taskId, { actor: "test", reason: "" });
  const settled = await settle(
    db,
    success(done),
    failure(failed),
    failure(retried, { retryAfterSeconds: 5 }),
    success(late),
  );
  assert.deepEqual(settled.accepted, new Set([done.stepId, failed.stepId, retried.stepId]));
  assert.deepEqual(new Set(settled.endedTasks), new Set([done.taskId, failed.taskId]));
  assert.deepEqual(settled.wakeNamespaces, [template.namespaceId]);
  const states = await Promise.all(created.map(async ({ id }) => (await statesOf(db, id)).task));
  assert.deepEqual(states, ["complete", "error", "in_progress", "cancelled"]);
});

test("a failed attempt is tried again after its delay, and not before", async () => {
  const template = await register(db, { a: [] }, { name: "retried", retry: { maxAttempts: 3 } });
  const task = await createTask(db, template);
  await failStep(db, template, "a", { retryAfterSeconds: 10 });
  assert.deepEqual(await statesOf(db, task), { task: "in_progress", steps: { a: "waiting_for_retry" } });
  await moveClock(db, 9.999);
  assert.deepEqual(await claim(db, template), []);
  await moveClock(db, 0.001);
  const again = await claimStep(db, template, "a");
  assert.deepEqual([again.attempt, again.failedAttempts, again.life], [2, 1, 1]);
  await settle(db, success(again, "at last"));
  const view = await readTask(db, task);
  assert.equal(view?.state, "complete");
  assert.equal(view?.steps[0]?.output, "at last");
  assert.equal(view?.steps[0]?.lastError?.message, "it broke");
});

test("a step that failed for good lets the others run, then the task is in error and what waited is blocked", async () => {
  const template = await register(
    db,
    { a: [], b: ["a"], c: ["b"], x: [], y: ["x"], z: ["b", "y"] },
    { name: "failed" },
  );
  const task = await createTask(db, template);
  await failStep(db, template, "a");
  assert.equal((await statesOf(db, task)).task, "in_progress");
  await runStep(db, template, "x");
  assert.equal((await statesOf(db, task)).task, "in_progress");
  await runStep(db, template, "y");
  assert.deepEqual(await statesOf(db, task), {
    task: "error",
    steps: { a: "error", b: "blocked", c: "blocked", x: "complete", y: "complete", z: "blocked" },
  });
  const [outcome] = await readOutcomes(db, [task]);
  assert.deepEqual(
    [outcome?.state, outcome?.failure?.step, outcome?.failure?.error.message],
    ["error", "a", "it broke"],
  );
});

test("the result of a lost lease changes nothing: of another attempt, another owner or another life", async () => {
  const template = await register(db, { a: [] }, { name: "late", retry: { maxAttempts: 3 } });
  await createTask(db, template);
  const first = await claimStep(db, template, "a");
  await settle(db, failure(first, { retryAfterSeconds: 0 }));
  const held = await claimStep(db, template, "a");
  const before = await onlyRow(db, everything);
  const lost = [
    success(first),
    success({ ...held, owner: first.owner }),
    success({ ...held, life: 2 }),
    success({ ...held, attempt: 3 }),
    failure(first),
  ];
  for (const settlement of lost) {
    assert.deepEqual(await settle(db, settlement), { accepted: new Set(), endedTasks: [], wakeNamespaces: [] });
  }
  assert.deepEqual(await onlyRow(db, everything), before);
  assert.equal((await settle(db, success(held))).accepted.size, 1);
});

test("a result that is sent twice is recorded once", async () => {
  const template = await register(db, { a: [] }, { name: "twice" });
  await createTask(db, template);
  const held = await claimStep(db, template, "a");
  await settle(db, success(held, 1));
  const before = await onlyRow(db, everything);
  assert.equal((await settle(db, success(held, 2))).accepted.size, 0);
  assert.deepEqual(await onlyRow(db, everything), before);
});

test("a batch that holds a result twice records it once", async () => {
  const template = await register(db, { a: [], b: [] }, { name: "doubled" });
  const task = await createTask(db, template);
  const [a, b] = await claim(db, template);
  assert.ok(a && b);
  const settled = await settle(db, success(a, 1), success(a, 1), success(b, 2));
  assert.deepEqual(settled.accepted, new Set([a.stepId, b.stepId]));
  assert.equal((await statesOf(db, task)).task, "complete");
});

test("results come with a read task; the run time is that of the last attempt's handler", async () => {
  const template = await register(db, { a: [], b: ["a"] }, { name: "read" });
  const task = await createTask(db, template);
  await runStep(db, template, "a", 1.5, { big: "x".repeat(100_000) });
  const view = await readTask(db, task);
  const [a, b] = view?.steps ?? [];
  assert.deepEqual([a?.name, a?.runSeconds, a?.state, a?.lastError], ["a", 1.5, "complete", null]);
  assert.deepEqual(a?.output, { big: "x".repeat(100_000) });
  assert.deepEqual([b?.name, b?.runSeconds, b?.output, b?.readyAt], ["b", null, null, a?.finishedAt]);
});

test("a batch with a settlement that the database refuses records none of it", async () => {
  const template = await register(db, { a: [], b: [] }, { name: "refused" });
  await createTask(db, template);
  const [a, b] = await claim(db, template);
  assert.ok(a && b);
  const before = await onlyRow(db, everything);
  const bad = { ...success(b), end: { state: "complete", output: '"\\u0000"' } } as const;
  await assert.rejects(settle(db, success(a), bad));
  assert.deepEqual(await onlyRow(db, everything), before);
});

test("an outcome is there only for tasks that ended", async () => {
  const template = await register(db, { a: [] }, { name: "outcomes" });
  const [running, cancelled] = await create(db, template, [{}, {}]);
  assert.ok(running && cancelled);
  await cancelTask(db, cancelled.id, { actor: "test", reason: "" });
  assert.deepEqual(await readOutcomes(db, [running.id, cancelled.id]), [
    { id: cancelled.id, state: "cancelled", outputs: {}, failure: null },
  ]);
});

test("a retry without a delay is refused instead of waiting for ever", async () => {
  const template = await register(db, { a: [] }, { name: "endless", retry: { maxAttempts: 2 } });
  await createTask(db, template);
  const held = await claimStep(db, template, "a");
  const endless = failure(held, { retryAfterSeconds: Number.POSITIVE_INFINITY });
  await assert.rejects(settle(db, endless), { constraint: "claimable_or_available_at_null" });
});
