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
  findStep,
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

test("what does not exist is not found", async () => {
  const id = newId();
  await assert.rejects(cancelTask(db, id, operator), { code: "not_found", message: `There is no task ${id}` });
  await assert.rejects(resolveTask(db, id, operator), { code: "not_found" });
  await assert.rejects(resetStep(db, id, operator), { code: "not_found", message: `There is no step ${id}` });
  await assert.rejects(resolveStep(db, id, operator, null), { code: "not_found" });
  assert.equal(await readTask(db, id), null);
});
