import assert from "node:assert/strict";
import { after, test } from "node:test";

import { defineTask } from "../../src/workflow/define-task.ts";
import { testDatabase } from "../support/database.ts";
import { deferred } from "../support/deferred.ts";
import { onlyRow, stopClock } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { Calls, WorkerSystem } from "./setup.ts";
import { handled } from "./handled.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

async function claimed(name: string): Promise<number> {
  const text = `select count(*) as n from tasker.workflow_steps s join tasker.analytics_identities i on i.id = s.named_task_id
    where i.task_name = $1 and s.state <> 'enqueued'`;
  return (await onlyRow<{ n: number }>(db, text, [name])).n;
}

test("a worker claims no step that it has no slot for", async (t) => {
  const { calls, definition } = handled("prefetch");
  const system = await WorkerSystem.start(t, db, [definition], { concurrency: 3 });
  const tasks: string[] = [];
  for (let i = 0; i < 12; i++) tasks.push(await system.submit(definition));
  for (let ended = 0; ended < 12; ended++) {
    const call = await calls.next();
    // Those that ended, and those in the slots: whatever was claimed runs.
    assert.ok((await claimed("prefetch")) <= ended + 3);
    call.finish(null);
  }
  for (const task of tasks) await system.ended(task);
});

test("while results cannot be recorded a worker claims so many steps and no more, and goes on when they can", async (t) => {
  let runs = 0;
  const definition = defineTask({ namespace: "shop", name: "pressed", version: "1.0.0" }).step("only", () => {
    runs += 1;
  });
  const system = await WorkerSystem.start(t, db, [definition], { concurrency: 2, completionBatch: 1 });
  const gate = deferred();
  const claims = new Calls<true>();
  system.intercept = async ({ name }) => {
    if (name === "claim_steps") claims.add(true);
    if (name === "settle_steps") await gate.promise;
  };
  const tasks: string[] = [];
  for (let i = 0; i < 30; i++) tasks.push(await system.submit(definition));
  // Twice the slots may wait to be recorded.
  await eventually(
    "they have run",
    async () => runs,
    (count) => count >= 4,
  );
  await eventually(
    "no claim is under way",
    () => claimed("pressed"),
    (count) => count === runs,
  );
  while (claims.waiting > 0) await claims.next();
  for (let i = 0; i < 10; i++) {
    system.worker.nudge();
    await system.clock.advance(1);
  }
  assert.equal(claims.waiting, 0, "it does not even ask");
  assert.equal(runs, await claimed("pressed"));
  assert.ok(runs <= 5, `${runs} have run`);
  gate.resolve();
  for (const task of tasks) await system.ended(task);
  assert.equal(runs, 30);
});
