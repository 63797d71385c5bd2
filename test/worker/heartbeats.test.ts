import assert from "node:assert/strict";
import { after, test } from "node:test";

import { readTask } from "../../src/engine/read-task.ts";
import { defineTask, type StepContext, type StepOptions } from "../../src/workflow/define-task.ts";
import { testDatabase } from "../support/database.ts";
import { stopClock } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { Calls, connectionRefused, stepOf, untilState, WorkerSystem } from "./setup.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

interface Call extends Pick<StepContext<unknown, unknown>, "heartbeat" | "lastProgress" | "signal"> {
  readonly finish: () => void;
  readonly fail: (error: Error) => void;
}

function beating(name: string, options: StepOptions<never> = {}) {
  const calls = new Calls<Call>();
  const definition = defineTask({ namespace: "shop", name, version: "1.0.0" }).step(
    "only",
    options,
    ({ heartbeat, lastProgress, signal }) =>
      new Promise<void>((finish, fail) => {
        calls.add({ heartbeat, lastProgress, signal, finish, fail });
      }),
  );
  return { calls, definition };
}

async function progressOf(task: string): Promise<unknown> {
  return (await readTask(db, task))?.steps[0]?.progress;
}

/** Counts the statements that write heartbeats. */
function countWrites(system: WorkerSystem): () => number {
  let writes = 0;
  system.intercept = ({ name }) => {
    if (name === "record_heartbeats") writes += 1;
  };
  return () => writes;
}

test("any number of heartbeats of all handlers costs one statement per interval, and none when there are none", async (t) => {
  const { calls, definition } = beating("coalesced");
  const system = await WorkerSystem.start(t, db, [definition]);
  const writes = countWrites(system);
  const tasks = [await system.submit(definition), await system.submit(definition)];
  const running = [await calls.next(), await calls.next()];
  for (let i = 1; i <= 1000; i++) for (const { heartbeat } of running) heartbeat({ done: i });
  assert.equal(writes(), 0);
  await system.advance(1000);
  for (const task of tasks)
    await eventually(
      "it is shown",
      () => progressOf(task),
      (p) => JSON.stringify(p) === '{"done":1000}',
    );
  assert.equal(writes(), 1);
  for (let i = 0; i < 5; i++) await system.advance(1000);
  assert.equal(writes(), 1);
  for (const { finish } of running) finish();
  for (const task of tasks) await system.ended(task);
  assert.equal(writes(), 1);
});

test("what an attempt told last is there for the next one", async (t) => {
  const { calls, definition } = beating("handed_on", { retry: { initialDelayMs: 0 } });
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  const first = await calls.next();
  assert.equal(await first.lastProgress(), null);
  first.heartbeat({ page: 7 });
  first.heartbeat();
  first.fail(new Error("once"));
  const second = await calls.next();
  await eventually(
    "it is handed on",
    () => second.lastProgress(),
    (p) => JSON.stringify(p) === '{"page":7}',
  );
  second.finish();
  await system.ended(task);
  // A handler that goes on tells nothing any more.
  first.heartbeat("late");
  second.heartbeat("late");
  const writes = countWrites(system);
  await system.advance(5000);
  assert.equal(writes(), 0);
  assert.deepEqual(await progressOf(task), { page: 7 });
});

test("a worker that stops writes what its handlers told last before it gives their steps back", async (t) => {
  const { calls, definition } = beating("stopped");
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  (await calls.next()).heartbeat("half");
  await system.stop();
  assert.equal(await progressOf(task), "half");
  await system.worker.start();
  const next = await calls.next();
  assert.equal(await next.lastProgress(), "half");
  next.finish();
  await system.ended(task);
});

test("heartbeats that the database could not take go with the next ones", async (t) => {
  const { calls, definition } = beating("outage");
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  const call = await calls.next();
  const failed = new Calls<true>();
  system.intercept = ({ name }) => {
    if (name !== "record_heartbeats") return;
    failed.add(true);
    throw connectionRefused();
  };
  call.heartbeat("kept");
  await system.advance(1000);
  await failed.next();
  call.heartbeat();
  system.intercept = () => {};
  await system.advance(10_000);
  await eventually(
    "it is shown",
    () => progressOf(task),
    (p) => p === "kept",
  );
  call.finish();
  await system.ended(task);
});

test("an attempt that is silent for too long fails although its lease is alive, one that beats goes on", async (t) => {
  const { calls, definition } = beating("silent", {
    heartbeatTimeoutMs: 5000,
    retry: { maxAttempts: 2, initialDelayMs: 0 },
  });
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  const first = await calls.next();
  for (let i = 0; i < 5; i++) {
    await system.advance(4000);
    first.heartbeat();
  }
  await system.advance(4999);
  assert.equal(first.signal.aborted, false);
  await system.advance(1);
  assert.equal(first.signal.aborted, true);
  const second = await calls.next();
  const { state, error, failed_attempts } = await stepOf(db, task);
  assert.deepEqual(
    [state, failed_attempts, error?.code, error?.message],
    ["in_progress", 1, "heartbeat_timeout", "step only sent no heartbeat for 5000 ms"],
  );
  second.heartbeat();
  second.finish();
  await system.ended(task);
});

test("without a heartbeat timeout silence is no failure", async (t) => {
  const { calls, definition } = beating("quiet");
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  const call = await calls.next();
  await system.advance(25_000);
  assert.equal(call.signal.aborted, false);
  call.finish();
  await system.ended(task);
});

test("a progress that cannot be stored is refused, and says why", async (t) => {
  const { calls, definition } = beating("refused");
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  const { heartbeat, finish } = await calls.next();
  const what = "the progress of step only of shop/refused 1.0.0";
  assert.throws(() => heartbeat("x".repeat(65_535)), {
    message: `${what} has 65537 bytes of JSON; at most 65536 are allowed`,
  });
  assert.throws(() => heartbeat(1n), new RegExp(`^InvalidPayloadError: ${what} is not JSON`, "u"));
  heartbeat("x".repeat(65_534));
  finish();
  await untilState(db, task, "complete");
});
