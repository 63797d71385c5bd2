import assert from "node:assert/strict";
import { after, test } from "node:test";

import { rescueExpired } from "../../src/engine/rescue.ts";
import { testDatabase } from "../support/database.ts";
import { moveClock, stopClock } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { abortOf, handled } from "./handled.ts";
import { connectionRefused, stepOf, untilState, WorkerSystem } from "./setup.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

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
