import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";

import { cancelTask, resetStep, resolveStep, resolveTask } from "../../src/engine/operate.ts";
import { testDatabase } from "../support/database.ts";
import {
  claim,
  claimStep,
  createTask,
  failStep,
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
  const count = "select count(*) as n from tasker.workflow_step_history";
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
