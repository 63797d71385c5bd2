import assert from "node:assert/strict";
import { after, test } from "node:test";

import { cancelTask } from "../../src/engine/operate.ts";
import { rescueExpired } from "../../src/engine/rescue.ts";
import { defineTask } from "../../src/workflow/define-task.ts";
import { testDatabase } from "../support/database.ts";
import { deferred } from "../support/deferred.ts";
import { moveClock, onlyRow, stopClock } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { Calls, connectionRefused, stepOf, untilState, WorkerSystem } from "./setup.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

interface Call {
  readonly signal: AbortSignal;
  readonly attempt: number;
  readonly finish: (output: unknown) => void;
  readonly fail: (error: Error) => void;
}

/** A task of one step whose attempts the test ends. */
function handled(name: string) {
  const calls = new Calls<Call>();
  const definition = defineTask({ namespace: "shop", name, version: "1.0.0" }).step(
    "only",
    ({ signal, attempt }) =>
      new Promise<unknown>((finish, fail) => {
        calls.add({ signal, attempt, finish, fail });
      }),
  );
  return { calls, definition };
}

/** Resolves when the signal aborts, to the code of its reason. */
async function abortOf(signal: AbortSignal): Promise<unknown> {
  if (!signal.aborted) {
    const { promise, resolve } = deferred();
    signal.addEventListener("abort", () => resolve());
    await promise;
  }
  const reason: unknown = signal.reason;
  return reason instanceof Error && "code" in reason ? reason.code : reason;
}

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

test("a handler that fails because its lease was lost sends nothing", async (t) => {
  const { calls, definition } = handled("quiet");
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  const call = await calls.next();
  await moveClock(db, 31);
  await rescueExpired(db, () => 0);
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
  await system.submit(definition);
  const call = await calls.next();
  const renewals = new Calls<true>();
  system.intercept = ({ name }) => {
    if (name !== "renew_leases") return;
    renewals.add(true);
    throw connectionRefused();
  };
  for (let i = 0; i < 3; i++) {
    await system.advance(10_000);
    await renewals.next();
    await system.advance(0);
    assert.equal(call.signal.aborted, false);
  }
  await system.advance(10_000);
  assert.equal(await abortOf(call.signal), "lease_lost");
});

test("a graceful stop waits for handlers and records what they return", async (t) => {
  const { calls, definition } = handled("graceful");
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  const call = await calls.next();
  const stopped = system.worker.stop();
  await system.advance(4999);
  assert.equal(call.signal.aborted, false);
  call.finish("in time");
  await stopped;
  assert.equal((await stepOf(db, task)).output, "in time");
  const later = await system.submit(definition);
  system.worker.nudge();
  assert.equal((await stepOf(db, later)).state, "enqueued", "a stopped worker claims nothing");
});

test("a handler that hangs is aborted at the stop's deadline, and its step goes back without costing the attempt", async (t) => {
  const { calls, definition } = handled("hanging");
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  const call = await calls.next();
  const stopped = system.worker.stop();
  await eventually(
    "the worker waits for its handler",
    async () => {
      await system.clock.advance(1000);
      return call.signal.aborted;
    },
    (isAborted) => isAborted,
  );
  assert.equal(await abortOf(call.signal), "worker_stopping");
  await stopped;
  const { state, attempt, failed_attempts } = await stepOf(db, task);
  assert.deepEqual([state, attempt, failed_attempts], ["enqueued", 0, 0]);

  call.finish("too late");
  const other = await WorkerSystem.start(t, db, [definition]);
  other.worker.nudge();
  const again = await calls.next();
  assert.equal(again.attempt, 1);
  again.finish("of the other worker");
  await other.ended(task);
  assert.equal((await stepOf(db, task)).output, "of the other worker");
});

test("a worker that starts again works again, and a handler from before its stop does not end the new attempt", async (t) => {
  const { calls, definition } = handled("restarted");
  const system = await WorkerSystem.start(t, db, [definition], { shutdownTimeoutMs: 0 });
  const task = await system.submit(definition);
  const former = await calls.next();
  const stopped = system.worker.stop();
  await eventually(
    "the worker stops",
    async () => {
      await system.clock.advance(1);
      return former.signal.aborted;
    },
    (isAborted) => isAborted,
  );
  await stopped;
  await system.worker.start();
  const present = await calls.next();
  assert.equal(present.attempt, 1, "the same attempt once more");
  former.finish("of the former attempt");
  // Whatever comes of that comes before this.
  const other = await system.submit(definition);
  const next = await calls.next();
  next.finish(null);
  await system.ended(other);
  assert.equal((await stepOf(db, task)).state, "in_progress");
  present.finish("of the present attempt");
  await system.ended(task);
  assert.equal((await stepOf(db, task)).output, "of the present attempt");
});

test("a stop does not wait for ever for a database that is gone; the leases then run out", async (t) => {
  const { calls, definition } = handled("gone");
  const system = await WorkerSystem.start(t, db, [definition]);
  const [ended, hanging] = [await system.submit(definition), await system.submit(definition)];
  const [first] = [await calls.next(), await calls.next()];
  system.intercept = () => {
    throw connectionRefused();
  };
  first.finish("never recorded");
  const stopped = system.worker.stop();
  let isStopped = false;
  void stopped.then(() => (isStopped = true));
  await eventually(
    "the worker stops",
    async () => {
      await system.clock.advance(1000);
      return isStopped;
    },
    (is) => is,
  );
  for (const task of [ended, hanging]) assert.equal((await stepOf(db, task)).state, "in_progress");
  await moveClock(db, 31);
  assert.equal((await rescueExpired(db, () => 0)).accepted.size, 2);
  for (const task of [ended, hanging]) await untilState(db, task, "waiting_for_retry");
});

test("stopping twice, or before the start, is no more than stopping once", async (t) => {
  const { definition } = handled("idempotent");
  const system = await WorkerSystem.start(t, db, [definition]);
  await Promise.all([system.worker.stop(), system.worker.stop()]);
  await system.worker.stop();
  await Promise.all([system.worker.start(), system.worker.start()]);
  await system.worker.stop();
});
