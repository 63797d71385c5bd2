import assert from "node:assert/strict";
import { after, test } from "node:test";

import { cancelTask } from "../../src/engine/operate.ts";
import { rescueExpired } from "../../src/engine/rescue.ts";
import { testDatabase } from "../support/database.ts";
import { moveClock, onlyRow, stopClock } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { abortOf, handled } from "./handled.ts";
import { Calls, connectionRefused, stepOf, WorkerSystem } from "./setup.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

/** Seconds until the lease of a task's step ends. */
async function leaseSeconds(task: string): Promise<number> {
  const text = `select extract(epoch from lease_expires_at - tasker.clock())::float8 as seconds
    from tasker.workflow_steps where task_id = $1`;
  return (await onlyRow<{ seconds: number }>(db, text, [task])).seconds;
}

test("a lease is renewed as long as the handler runs", async (t) => {
  const { calls, definition } = handled("renewed");
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  const call = await calls.next();
  for (let i = 0; i < 5; i++) {
    await system.untilDueIn(10_000);
    await system.advance(10_000);
    await eventually(
      "the lease is renewed",
      () => leaseSeconds(task),
      (seconds) => seconds === 30,
    );
  }
  assert.equal((await rescueExpired(db, () => 0)).found, 0);
  assert.equal(call.signal.aborted, false);
  call.finish("done");
  await system.ended(task);
  assert.equal((await stepOf(db, task)).attempt, 1);
});

test("a handler whose lease was lost gets its signal aborted, and what it sends later is counted and dropped", async (t) => {
  const { calls, definition } = handled("lost");
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  const first = await calls.next();
  // The worker was paused: nothing renewed, and the rescuer came by.
  await moveClock(db, 31);
  await rescueExpired(db, () => 0);
  await system.untilDueIn(10_000);
  await system.clock.advance(10_000);
  assert.equal(await abortOf(first.signal), "lease_lost");
  system.worker.nudge();
  const second = await calls.next();
  assert.equal(second.attempt, 2);
  const settled = new Calls<string>();
  system.intercept = ({ name = "" }) => settled.add(name);
  first.finish("of the first");
  assert.equal(await settled.next(), "settle_steps");
  await eventually(
    "the late result is counted",
    async () => system.late,
    (late) => late === 1,
  );
  second.finish("of the second");
  await system.ended(task);
  assert.equal((await stepOf(db, task)).output, "of the second");
  assert.equal(system.late, 1);
});

test("a late result is counted also when it travels with the one that counts", async (t) => {
  const { calls, definition } = handled("together");
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  const first = await calls.next();
  await moveClock(db, 31);
  await rescueExpired(db, () => 0);
  system.worker.nudge();
  const second = await calls.next();
  // In one turn of the loop, hence in one batch.
  first.finish("of the first");
  second.finish("of the second");
  await system.ended(task);
  assert.equal((await stepOf(db, task)).output, "of the second");
  assert.equal(system.late, 1);
});

test("a handler that fails because its lease was lost sends nothing", async (t) => {
  const { calls, definition } = handled("quiet");
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  const call = await calls.next();
  await moveClock(db, 31);
  await rescueExpired(db, () => 0);
  await system.untilDueIn(10_000);
  await system.clock.advance(10_000);
  await abortOf(call.signal);
  call.fail(new Error("I was told to stop"));
  system.worker.nudge();
  const second = await calls.next();
  second.finish(null);
  await system.ended(task);
  assert.equal(system.late, 0);
  assert.equal((await stepOf(db, task)).failed_attempts, 1);
});

test("the handlers of a cancelled task get their signal aborted, at once where the worker is told", async (t) => {
  const { calls, definition } = handled("cancelled");
  const system = await WorkerSystem.start(t, db, [definition]);
  const [told, untold] = [await system.submit(definition), await system.submit(definition)];
  const [first, second] = [await calls.next(), await calls.next()];
  for (const task of [told, untold]) await cancelTask(db, task, { actor: "test", reason: "" });
  system.worker.abortTask(told);
  assert.deepEqual(
    [first, second].map(({ signal }) => signal.aborted).toSorted((a, b) => Number(a) - Number(b)),
    [false, true],
  );
  // The other one learns of it when its lease is renewed.
  await system.untilDueIn(10_000);
  await system.advance(10_000);
  assert.deepEqual([await abortOf(first.signal), await abortOf(second.signal)], ["lease_lost", "lease_lost"]);
  for (const { finish } of [first, second]) finish("too late");
  await eventually(
    "the results are dropped",
    async () => system.late,
    (late) => late === 2,
  );
  assert.deepEqual([(await stepOf(db, told)).state, (await stepOf(db, untold)).state], ["cancelled", "cancelled"]);
});

test("while leases cannot be renewed handlers go on until the leases are over, and not longer", async (t) => {
  const { calls, definition } = handled("unrenewed");
  const system = await WorkerSystem.start(t, db, [definition]);
  // A worker that has been idle for long has not lost what it claims now.
  await system.advance(100_000);
  await system.submit(definition);
  const call = await calls.next();
  const renewals = new Calls<true>();
  system.intercept = ({ name }) => {
    if (name !== "renew_leases") return;
    renewals.add(true);
    throw connectionRefused();
  };
  // The last renewal may have been at any time of those 100 s. Heartbeats are looked for each second, renewals are later.
  let untilRenewal = await eventually(
    "the next renewal is due",
    () => Promise.resolve(system.clock.delays.find((ms) => ms > 1000 && ms <= 10_000) ?? 0),
    (ms) => ms > 0,
  );
  for (let i = 0; i < 3; i++) {
    await system.advance(untilRenewal);
    await renewals.next();
    untilRenewal = 10_000;
    await system.untilDueIn(untilRenewal);
    assert.equal(call.signal.aborted, false);
  }
  await system.advance(10_000);
  assert.equal(await abortOf(call.signal), "lease_lost");
});
