import assert from "node:assert/strict";
import { after, test } from "node:test";

import { defineTask } from "../../src/workflow/define-task.ts";
import { testDatabase } from "../support/database.ts";
import { deferred } from "../support/deferred.ts";
import { stopClock } from "../support/engine.ts";
import { Calls, WorkerSystem } from "./setup.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

function limited(name: string, concurrency: number) {
  const calls = new Calls<{ readonly finish: () => void }>();
  const definition = defineTask({ namespace: "shop", name, version: "1.0.0" }).step(
    "only",
    { concurrency },
    () =>
      new Promise<void>((finish) => {
        calls.add({ finish });
      }),
  );
  return { calls, definition };
}

test("the end of a limited step starts the next one, without a poll", async (t) => {
  const { calls, definition } = limited("next", 2);
  const system = await WorkerSystem.start(t, db, [definition]);
  const tasks: string[] = [];
  for (let i = 0; i < 6; i++) tasks.push(await system.submit(definition, i));
  const running = [await calls.next(), await calls.next()];
  for (let ended = 0; ended < 6; ended++) {
    assert.equal(calls.waiting, 0, "the limit is reached");
    running.shift()?.finish();
    if (ended < 4) running.push(await calls.next());
  }
  for (const task of tasks) await system.ended(task);
});

test("the end of a limited step is told to the workers of other processes", async (t) => {
  const { calls, definition } = limited("told", 1);
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  const call = await calls.next();
  const told: (readonly number[])[] = [];
  t.after(system.wakeUps.onWork((namespaceIds) => void told.push(namespaceIds)));
  call.finish();
  await system.ended(task);
  const [namespace] = await db.query<{ id: number }>({ text: "select id from tasker.task_namespaces" });
  assert.deepEqual(told, [[namespace?.id]]);
});

test("the end of a step without a limit wakes nobody for it", async (t) => {
  const calls = new Calls<() => void>();
  const definition = defineTask({ namespace: "shop", name: "untold", version: "1.0.0" }).step(
    "only",
    () =>
      new Promise<void>((finish) => {
        calls.add(finish);
      }),
  );
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  const finish = await calls.next();
  const told: (readonly number[])[] = [];
  t.after(system.wakeUps.onWork((namespaceIds) => void told.push(namespaceIds)));
  finish();
  await system.ended(task);
  assert.deepEqual(told, []);
});

test("while another claim holds the limit a worker asks again soon, and less and less often", async (t) => {
  const { calls, definition } = limited("contended", 1);
  const system = await WorkerSystem.start(t, db, [definition]);
  const waits = new Calls<number>();
  const schedule = system.clock.schedule.bind(system.clock);
  system.clock.schedule = (delayMs, callback) => {
    const timer = schedule(delayMs, callback);
    // 5 ms is the gap between notices.
    if (delayMs !== 5 && delayMs < 1000) waits.add(delayMs);
    return timer;
  };
  const held = deferred();
  const release = deferred();
  const holder = db.transaction(async (sql) => {
    await sql.query({ text: "select from tasker.concurrency_limits for update" });
    held.resolve();
    await release.promise;
  });
  await held.promise;
  const task = await system.submit(definition);
  for (const longestMs of [5, 10, 20, 40]) {
    const waitMs = await waits.next();
    assert.ok(waitMs >= longestMs / 2 && waitMs < longestMs, `${waitMs} of ${longestMs} ms`);
    await system.clock.advance(waitMs);
  }
  const lastMs = await waits.next();
  release.resolve();
  await holder;
  assert.equal(calls.waiting, 0);
  await system.clock.advance(lastMs);
  (await calls.next()).finish();
  await system.ended(task);
  assert.equal(waits.waiting, 0, "nothing is asked again that was answered");
});
