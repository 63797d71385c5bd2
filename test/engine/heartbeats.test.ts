import assert from "node:assert/strict";
import { after, test } from "node:test";

import { readProgress, recordHeartbeats } from "../../src/engine/heartbeats.ts";
import { resetStep } from "../../src/engine/operate.ts";
import { readTask } from "../../src/engine/read-task.ts";
import { testDatabase } from "../support/database.ts";
import {
  claimStep,
  createTask,
  databaseTime,
  failure,
  moveClock,
  register,
  settle,
  stopClock,
  success,
} from "../support/engine.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

const beat = (claim: Awaited<ReturnType<typeof claimStep>>, progress?: unknown) =>
  recordHeartbeats(db, [{ claim, progress: progress === undefined ? undefined : JSON.stringify(progress) }]);

/** What the task's only step shows. */
async function shown(task: string): Promise<unknown> {
  const step = (await readTask(db, task))?.steps[0];
  return [step?.lastHeartbeatAt, step?.progress];
}

test("a step shows when it last told that it is alive, and how far it is", async () => {
  const template = await register(db, { a: [] }, { name: "shown" });
  const task = await createTask(db, template);
  const held = await claimStep(db, template, "a");
  assert.deepEqual(await shown(task), [null, null]);
  assert.equal(await beat(held, { rows: 1 }), 1);
  assert.deepEqual(await shown(task), [await databaseTime(db), { rows: 1 }]);
  await moveClock(db, 5);
  await beat(held, [2]);
  assert.deepEqual(await shown(task), [await databaseTime(db), [2]]);
  await moveClock(db, 5);
  await beat(held);
  assert.deepEqual(await shown(task), [await databaseTime(db), [2]]);
  const last = await databaseTime(db);
  await moveClock(db, -60);
  await beat(held, 3);
  assert.deepEqual(await shown(task), [last, 3]);
  await moveClock(db, 60);
  await settle(db, success(held));
  assert.deepEqual(await shown(task), [last, 3]);
});

test("a retry finds what the attempts before it told, a new life does not", async () => {
  const template = await register(db, { a: [] }, { name: "resumed", retry: { maxAttempts: 2 } });
  const task = await createTask(db, template);
  const first = await claimStep(db, template, "a");
  await beat(first, 50);
  await settle(db, failure(first, { retryAfterSeconds: 0 }));
  const second = await claimStep(db, template, "a");
  assert.equal(await readProgress(db, second), 50);
  await settle(db, failure(second));
  await resetStep(db, second.stepId, { actor: "test", reason: "again" });
  assert.deepEqual(await shown(task), [null, null]);
  const third = await claimStep(db, template, "a");
  assert.equal(await readProgress(db, third), null);
  await beat(third);
  assert.deepEqual(await shown(task), [await databaseTime(db), null]);
  assert.equal(await beat(second, 99), 0, "of an earlier life");
  await beat(third, 1);
  assert.equal(await readProgress(db, third), 1);
});

test("the last words of an attempt count until the next one told something", async () => {
  const template = await register(db, { a: [] }, { name: "late", retry: { maxAttempts: 2 } });
  await createTask(db, template);
  const first = await claimStep(db, template, "a");
  await settle(db, failure(first, { retryAfterSeconds: 0 }));
  const second = await claimStep(db, template, "a");
  assert.equal(await beat(first, "late"), 1);
  assert.equal(await readProgress(db, second), "late");
  await beat(second, "newer");
  assert.equal(await beat(first, "too late"), 0);
  assert.equal(await readProgress(db, second), "newer");
});

test("many attempts are recorded by one statement, and one that is gone spoils nothing", async () => {
  const template = await register(db, { a: [], b: [] }, { name: "batch" });
  const task = await createTask(db, template);
  const [a, b] = [await claimStep(db, template, "a"), await claimStep(db, template, "b")];
  const gone = { stepId: "018f0000-0000-7000-8000-000000000000", life: 1, attempt: 1 };
  const recorded = await recordHeartbeats(
    db,
    [a, gone, b].map((claim) => ({ claim, progress: '"x"' })),
  );
  assert.equal(recorded, 2);
  assert.deepEqual(
    (await readTask(db, task))?.steps.map(({ progress }) => progress),
    ["x", "x"],
  );
});
