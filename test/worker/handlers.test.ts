import assert from "node:assert/strict";
import { after, test } from "node:test";

import { z } from "zod";

import { create, onlyRow, statesOf, stopClock } from "../support/engine.ts";
import { testDatabase } from "../support/database.ts";
import { deferred } from "../support/deferred.ts";
import { defineTask } from "../../src/workflow/define-task.ts";
import { Calls, stepOf, WorkerSystem } from "./setup.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

const nothing = (): null => null;

function named(name: string) {
  return { namespace: "shop", name, version: "1.0.0" };
}

test("handlers run in the order of the graph, each with the task's input and the results of its parents", async (t) => {
  const seen: unknown[] = [];
  const definition = defineTask<{ order: number }>(named("graph"))
    .step("reserve", ({ input }) => ({ reserved: input.order }))
    .step("charge", { after: ["reserve"] }, ({ results }) => results.reserve.reserved * 2)
    .step("ship", { after: ["reserve", "charge"] }, ({ results, input }) => {
      seen.push(results, input);
    });
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition, { order: 17 });
  await system.ended(task);
  assert.deepEqual(seen, [{ reserve: { reserved: 17 }, charge: 34 }, { order: 17 }]);
  assert.deepEqual(await statesOf(db, task), {
    task: "complete",
    steps: { reserve: "complete", charge: "complete", ship: "complete" },
  });
});

test("a handler knows its task, its step and its attempt, and has a key that is the same in every attempt", async (t) => {
  const contexts: {
    attempt: number;
    idempotencyKey: string;
    taskId: string;
    stepName: string;
    correlationId: string | null;
  }[] = [];
  const definition = defineTask(named("context")).step(
    "only",
    { retry: { initialDelayMs: 0 } },
    ({ signal, heartbeat: _heartbeat, lastProgress: _lastProgress, ...context }) => {
      assert.equal(signal.aborted, false);
      contexts.push(context);
      if (context.attempt === 1) throw new Error("once");
    },
  );
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  await system.ended(task);
  const [first, second] = contexts;
  assert.deepEqual([first?.attempt, second?.attempt], [1, 2]);
  assert.deepEqual({ ...first, attempt: 2 }, second);
  assert.deepEqual([first?.taskId, first?.stepName, first?.correlationId], [task, "only", null]);
  assert.ok((first?.idempotencyKey ?? "").length > 0);
});

test("the run time is measured by the worker's own clock, without what lies around the handler", async (t) => {
  const [started, finish] = [new Calls<true>(), deferred()];
  const definition = defineTask(named("measured")).step("only", async () => {
    started.add(true);
    await finish.promise;
  });
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  await started.next();
  await system.advance(1500);
  system.intercept = async () => {
    // The result is on its way while time goes on.
    system.intercept = () => {};
    await system.advance(500);
  };
  finish.resolve();
  await system.ended(task);
  assert.equal((await stepOf(db, task)).run_us, 1_500_000);
  const fact = await onlyRow(db, "select run_us, queue_wait_us from tasker.step_facts where task_id = $1", [task]);
  assert.deepEqual(fact, { run_us: 1_500_000, queue_wait_us: 500_000 });
});

const schema = z.object({ at: z.coerce.date(), note: z.string().default("none") });

test("an input that nobody has checked is checked before the first step, and handed over as if it had been stored", async (t) => {
  const inputs: unknown[] = [];
  const definition = defineTask({ ...named("unchecked"), input: schema }).step("only", ({ input }) => {
    inputs.push(input);
  });
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await submitUnchecked("unchecked", { at: "2026-01-01T00:00:00Z", extra: 1 });
  system.worker.nudge();
  await system.ended(task);
  assert.deepEqual(inputs, [{ at: "2026-01-01T00:00:00.000Z", note: "none" }]);
});

test("the time that the check of an input takes is not the handler's", async (t) => {
  const slow: { check: () => Promise<void> } = { check: () => Promise.resolve() };
  const input = z.object({}).refine(async () => {
    await slow.check();
    return true;
  });
  const definition = defineTask({ ...named("slow"), input }).step("only", nothing);
  const system = await WorkerSystem.start(t, db, [definition]);
  slow.check = () => system.advance(700);
  const task = await submitUnchecked("slow", {});
  system.worker.nudge();
  await system.ended(task);
  assert.equal((await stepOf(db, task)).run_us, 0);
});

test("an input that the worker's schema refuses fails the first step for good", async (t) => {
  let calls = 0;
  const definition = defineTask({ ...named("invalid"), input: schema }).step(
    "only",
    { retry: { maxAttempts: 5 } },
    () => {
      calls += 1;
    },
  );
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await submitUnchecked("invalid", { at: "never" });
  system.worker.nudge();
  await system.ended(task);
  const { state, attempt, error } = await stepOf(db, task);
  assert.deepEqual([state, attempt, error?.code], ["error", 1, "invalid_payload"]);
  assert.match(error?.message ?? "", /^the input of shop\/invalid 1\.0\.0 is not valid: at: /u);
  assert.equal(calls, 0);
});

/** Creates a task as a process without the template's schema does. */
async function submitUnchecked(name: string, input: unknown): Promise<string> {
  const row = await onlyRow<{ namedTaskId: number; revisionId: number }>(
    db,
    `select id as "namedTaskId", current_revision_id as "revisionId" from tasker.named_tasks where name = $1`,
    [name],
  );
  const template = { ...row, stepCount: 1 };
  const [task] = await create(db, template, [{ input, inputChecked: false }]);
  if (task === undefined) throw new Error("no task was created");
  return task.id;
}
