import assert from "node:assert/strict";
import { after, test } from "node:test";

import { type Logger, silentLogger } from "../../src/runtime/logging.ts";
import { defineTask } from "../../src/workflow/define-task.ts";
import { testDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { stopClock } from "../support/engine.ts";
import { Calls, connectionRefused, stepOf, WorkerSystem } from "./setup.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

function handled(name: string) {
  const calls = new Calls<{ readonly input: unknown; readonly finish: () => void }>();
  const definition = defineTask({ namespace: "shop", name, version: "1.0.0" }).step(
    "only",
    ({ input }) =>
      new Promise<void>((finish) => {
        calls.add({ input, finish });
      }),
  );
  return { calls, definition };
}

test("a worker runs no more handlers at once than it may, and the next as soon as one is over", async (t) => {
  const { calls, definition } = handled("concurrency");
  const system = await WorkerSystem.start(t, db, [definition], { concurrency: 3 });
  const tasks: string[] = [];
  for (let i = 0; i < 8; i++) tasks.push(await system.submit(definition, i));
  const running = [await calls.next(), await calls.next(), await calls.next()];
  for (let ended = 0; ended < 8; ended++) {
    assert.ok(running.length <= 3);
    assert.equal(calls.waiting, 0, "all slots are taken");
    running.shift()?.finish();
    if (ended < 5) running.push(await calls.next());
  }
  for (const task of tasks) await system.ended(task);
});

test("a worker that starts finds what was submitted before", async (t) => {
  const { calls, definition } = handled("before");
  const first = await WorkerSystem.start(t, db, [definition]);
  await first.worker.stop();
  const task = await first.submit(definition);
  const second = await WorkerSystem.start(t, db, [definition]);
  (await calls.next()).finish();
  await second.ended(task);
});

test("what nobody tells of is found by the next poll", async (t) => {
  const { calls, definition } = handled("poll");
  const system = await WorkerSystem.start(t, db, [definition], { pollIntervalMs: 1000, heartbeatIntervalMs: 5000 });
  const quiet = await WorkerSystem.start(t, db, []);
  const claims = new Calls<true>();
  system.intercept = ({ name }) => {
    if (name === "claim_steps") claims.add(true);
  };
  // Through another process' submitter, which wakes only its own worker.
  await quiet.submit(definition);
  await eventually(
    "the worker has looked and waits for its next poll",
    () => Promise.resolve(system.clock.delays),
    (delays) => delays.some((ms) => ms >= 750 && ms <= 1250),
  );
  await system.advance(749);
  assert.equal(claims.waiting, 0);
  await system.advance(501);
  await claims.next();
  (await calls.next()).finish();
});

test("a wake-up that comes while a worker looks for work makes it look once more", async (t) => {
  const { calls, definition } = handled("meanwhile");
  const system = await WorkerSystem.start(t, db, [definition]);
  const others = await WorkerSystem.start(t, db, []);
  let looks = 0;
  system.intercept = async ({ name }) => {
    if (name !== "claim_steps") return;
    looks += 1;
    if (looks > 1) return;
    system.worker.nudge();
    await others.submit(definition);
  };
  system.worker.nudge();
  (await calls.next()).finish();
});

test("while the database is gone a worker keeps trying, says so once, and goes on when it is back", async (t) => {
  const { calls, definition } = handled("outage");
  const warnings: string[] = [];
  const logger: Logger = { ...silentLogger, warn: (_: object, message?: string) => void warnings.push(message ?? "") };
  const system = await WorkerSystem.start(t, db, [definition], { pollIntervalMs: 1000, logger });
  const tries = new Calls<true>();
  system.intercept = ({ name }) => {
    if (name !== "claim_steps") return;
    tries.add(true);
    throw connectionRefused();
  };
  system.worker.nudge();
  for (let i = 0; i < 4; i++) {
    await tries.next();
    await system.advance(1250);
  }
  assert.deepEqual(warnings, ["steps cannot be claimed; trying again"]);
  // Being woken often must not turn an outage into a busy loop.
  const triesBefore = tries.waiting;
  for (let i = 0; i < 100; i++) system.worker.nudge();
  await system.advance(0);
  assert.equal(tries.waiting, triesBefore);
  system.intercept = () => {};
  const task = await system.submit(definition);
  await system.advance(1250);
  (await calls.next()).finish();
  await system.ended(task);
});

test("results of an outage are recorded when it is over, and nothing is run twice", async (t) => {
  const { calls, definition } = handled("results");
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  const { finish } = await calls.next();
  const tries = new Calls<true>();
  system.intercept = ({ name }) => {
    if (name !== "settle_steps") return;
    tries.add(true);
    throw connectionRefused();
  };
  finish();
  for (const delayMs of [50, 100, 200]) {
    await tries.next();
    await system.advance(delayMs);
  }
  await tries.next();
  system.intercept = () => {};
  await system.advance(400);
  await system.ended(task);
  const { state, attempt } = await stepOf(db, task);
  assert.deepEqual([state, attempt], ["complete", 1]);
});

test("a worker without handlers asks for no work", async (t) => {
  const system = await WorkerSystem.start(t, db, [], { pollIntervalMs: 1000 });
  const asked = new Calls<string>();
  system.intercept = ({ name = "" }) => asked.add(name);
  system.worker.nudge();
  await system.advance(5000);
  assert.equal(asked.waiting, 0);
});
