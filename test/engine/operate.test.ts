import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";

import { renewLeases } from "../../src/engine/claim.ts";
import { newId } from "../../src/engine/ids.ts";
import { cancelTask, resetStep, resolveStep, resolveTask } from "../../src/engine/operate.ts";
import { readTask } from "../../src/engine/read-task.ts";
import { testDatabase } from "../support/database.ts";
import {
  claim,
  claimStep,
  createTask,
  databaseTime,
  failStep,
  failure,
  findStep,
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

const operator = { actor: "ada", reason: "the supplier is back" };

test("cancelling ends all unfinished steps at once, and keeps what has ended", async () => {
  const template = await register(
    db,
    { done: [], failed: [], running: [], waiting: [], open: [], child: ["open"] },
    { name: "cancelled", retry: { maxAttempts: 2 } },
  );
  const task = await createTask(db, template);
  await runStep(db, template, "done");
  await failStep(db, template, "failed");
  await failStep(db, template, "waiting", { retryAfterSeconds: 60 });
  await claimStep(db, template, "running");
  await cancelTask(db, task, operator);
  assert.deepEqual(await statesOf(db, task), {
    task: "cancelled",
    steps: {
      done: "complete",
      failed: "error",
      running: "cancelled",
      waiting: "cancelled",
      open: "cancelled",
      child: "cancelled",
    },
  });
  assert.equal((await readTask(db, task))?.endedAt, await databaseTime(db));
  assert.deepEqual(await claim(db, template), []);
});

test("a cancelled step's lease is void: it cannot be renewed, and its result is dropped", async () => {
  const template = await register(db, { a: [], b: ["a"] }, { name: "void" });
  const task = await createTask(db, template);
  const held = await claimStep(db, template, "a");
  await cancelTask(db, task, operator);
  assert.equal((await renewLeases(db, held.owner, [held], 30_000)).size, 0);
  assert.equal((await settle(db, success(held, "too late"))).accepted.size, 0);
  const view = await readTask(db, task);
  assert.deepEqual(
    view?.steps.map((step) => [step.state, step.output]),
    [
      ["cancelled", null],
      ["cancelled", null],
    ],
  );
});

test("who changed something by hand, and why, stands in the log", async () => {
  const template = await register(db, { a: [] }, { name: "logged" });
  const task = await createTask(db, template);
  await cancelTask(db, task, operator);
  const log = "select from_state, to_state, actor, reason from tasker.";
  const expected = { to_state: "cancelled", actor: "ada", reason: "the supplier is back" };
  assert.deepEqual(await onlyRow(db, `${log}task_transitions where task_id = $1 and to_state = 'cancelled'`, [task]), {
    from_state: "pending",
    ...expected,
  });
  assert.deepEqual(
    await onlyRow(db, `${log}workflow_step_transitions where step_id = $1`, [await findStep(db, task, "a")]),
    { from_state: "enqueued", ...expected },
  );
});

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

for (const from of ["pending", "enqueued", "waiting_for_retry", "error"] as const) {
  test(`a step that is ${from} can be resolved, and its dependants go on with the output it was given`, async () => {
    const graph = from === "pending" ? { root: [], a: ["root"], b: ["a"] } : { a: [], b: ["a"] };
    const template = await register(db, graph, { name: `resolved-${from}`, retry: { maxAttempts: 2 } });
    const task = await createTask(db, template);
    if (from === "error") await failStep(db, template, "a");
    if (from === "waiting_for_retry") await failStep(db, template, "a", { retryAfterSeconds: 60 });
    const step = await findStep(db, task, "a");
    assert.equal((await statesOf(db, task)).steps["a"], from);

    await moveClock(db, 5);
    assert.equal(await resolveStep(db, step, operator, '{"by": "hand"}'), template.namespaceId);
    const b = await claimStep(db, template, "b");
    assert.deepEqual(b.results, { a: { by: "hand" } });
    await settle(db, success(b));
    if (from === "pending") await runStep(db, template, "root");
    const states = await statesOf(db, task);
    assert.deepEqual([states.task, states.steps["a"]], ["complete", "resolved_manually"]);
    assert.deepEqual(await claim(db, template), []);
  });
}

test("a step resolved without an output gives its dependants null", async () => {
  const template = await register(db, { a: [], b: ["a"] }, { name: "silent" });
  const task = await createTask(db, template);
  await resolveStep(db, await findStep(db, task, "a"), operator, null);
  assert.deepEqual((await claimStep(db, template, "b")).results, { a: null });
});

test("resolving the last step that is left completes the task", async () => {
  const template = await register(db, { a: [], b: ["a"] }, { name: "last" });
  const task = await createTask(db, template);
  await runStep(db, template, "a");
  await resolveStep(db, await findStep(db, task, "b"), operator, "1");
  assert.equal((await statesOf(db, task)).task, "complete");
});

test("resolving one of two failed steps leaves the task in error until the other is dealt with", async () => {
  const template = await register(db, { a: [], b: [], c: ["a", "b"] }, { name: "half" });
  const task = await createTask(db, template);
  await failStep(db, template, "a");
  await failStep(db, template, "b");
  await resolveStep(db, await findStep(db, task, "a"), operator, "1");
  assert.deepEqual(await statesOf(db, task), {
    task: "error",
    steps: { a: "resolved_manually", b: "error", c: "blocked" },
  });
  await resolveStep(db, await findStep(db, task, "b"), operator, "2");
  assert.deepEqual((await claimStep(db, template, "c")).results, { a: 1, b: 2 });
});

test("a step that is to start later keeps its delay when its parent is resolved before", async () => {
  const template = await register(db, { a: [], b: ["a"] }, { name: "early" });
  const { runAt } = await onlyRow<{ runAt: string }>(db, `select tasker.clock() + interval '1 hour' as "runAt"`);
  const task = await createTask(db, template, { runAt });
  await resolveStep(db, await findStep(db, task, "a"), operator, null);
  assert.deepEqual(await claim(db, template), []);
  await moveClock(db, 3600);
  await moveClock(db, 2);
  await runStep(db, template, "b", 1);
  const fact = await onlyRow(
    db,
    "select dependency_wait_us, queue_wait_us from tasker.step_facts where task_id = $1 and outcome = 'complete'",
    [task],
  );
  assert.deepEqual(fact, { dependency_wait_us: 3_600_000_000, queue_wait_us: 2_000_000 });
});

test("a failed task can be declared as dealt with, which is final", async () => {
  const template = await register(db, { a: [], b: ["a"] }, { name: "dealt" });
  const task = await createTask(db, template);
  await failStep(db, template, "a");
  await resolveTask(db, task, operator);
  assert.deepEqual(await statesOf(db, task), {
    task: "resolved_manually",
    steps: { a: "error", b: "blocked" },
  });
  const step = await findStep(db, task, "a");
  await assert.rejects(resetStep(db, step, operator), { code: "wrong_state" });
  await assert.rejects(resolveStep(db, step, operator, null), { code: "wrong_state" });
  await assert.rejects(cancelTask(db, task, operator), { code: "wrong_state" });
});

test("a change that the state does not allow is refused with the state and the rule, and nothing is written", async () => {
  const template = await register(db, { a: [], b: ["a"] }, { name: "refused" });
  const task = await createTask(db, template);
  const [a, b] = [await findStep(db, task, "a"), await findStep(db, task, "b")];
  const count = "select count(*) as n from tasker.workflow_step_transitions";
  const before = await onlyRow(db, count);
  await assert.rejects(resetStep(db, a, operator), {
    code: "wrong_state",
    message: `Step ${a} is enqueued and its task pending: only a step in error of a task that is not final can be reset`,
  });
  await assert.rejects(resetStep(db, b, operator), { code: "wrong_state" });
  await assert.rejects(resolveTask(db, task, operator), {
    code: "wrong_state",
    message: `Task ${task} is pending: only a task in error can be resolved`,
  });
  assert.deepEqual(await onlyRow(db, count), before);
  await claimStep(db, template, "a");
  await assert.rejects(resolveStep(db, a, operator, null), {
    code: "wrong_state",
    message: `Step ${a} is in_progress and its task in_progress: only a step in pending, enqueued, waiting_for_retry, error of a task that is not final can be resolved`,
  });
  await cancelTask(db, task, operator);
  await assert.rejects(cancelTask(db, task, operator), {
    code: "wrong_state",
    message: `Task ${task} is cancelled: only a pending or running task can be cancelled`,
  });
  for (const change of [resetStep(db, a, operator), resolveStep(db, b, operator, null)]) {
    await assert.rejects(change, { code: "wrong_state" });
  }
});

test("what does not exist is not found", async () => {
  const id = newId();
  await assert.rejects(cancelTask(db, id, operator), { code: "not_found", message: `There is no task ${id}` });
  await assert.rejects(resolveTask(db, id, operator), { code: "not_found" });
  await assert.rejects(resetStep(db, id, operator), { code: "not_found", message: `There is no step ${id}` });
  await assert.rejects(resolveStep(db, id, operator, null), { code: "not_found" });
  assert.equal(await readTask(db, id), null);
});
