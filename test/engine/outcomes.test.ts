import assert from "node:assert/strict";
import { after, test } from "node:test";

import { Outcomes } from "../../src/engine/outcomes.ts";
import { TaskFailedError } from "../../src/engine/errors.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { ManualClock } from "../support/clock.ts";
import { testDatabase } from "../support/database.ts";
import { createTask, failStep, register, runStep } from "../support/engine.ts";
import { CountingSql } from "./counting-sql.ts";

const { db } = await testDatabase({ after });

function setup() {
  const sql = new CountingSql(db);
  const clock = new ManualClock();
  return { sql, clock, outcomes: new Outcomes(sql, clock, silentLogger) };
}

test("waiting for a task that is over resolves at once", async () => {
  const template = await register(db, { a: [] }, { name: "over" });
  const task = await createTask(db, template);
  await runStep(db, template, "a", 0, { x: 1 });
  const { outcomes } = setup();
  assert.deepEqual(await outcomes.wait(task), { id: task, state: "complete", outputs: { a: { x: 1 } }, failure: null });
});

test("the end of a task in this process is told at once to all who wait for it", async () => {
  const template = await register(db, { a: [] }, { name: "here" });
  const task = await createTask(db, template);
  const { outcomes, sql } = setup();
  const waiting = Promise.all([outcomes.wait(task), outcomes.wait(task)]);
  await sql.answered(2);
  await failStep(db, template, "a");
  outcomes.ended([task]);
  const [first, second] = await waiting;
  assert.equal(first?.state, "error");
  assert.deepEqual(first, second);
});

test("an end elsewhere is found by polling, which slows down to once a second", async () => {
  const template = await register(db, { a: [] }, { name: "elsewhere" });
  const task = await createTask(db, template);
  const { outcomes, sql, clock } = setup();
  const waiting = outcomes.wait(task);
  await sql.answered(1);
  for (const [index, ms] of [50, 100, 200, 400, 800, 1000, 1000].entries()) {
    await clock.advance(ms - 1);
    assert.equal(sql.asked.length, index + 1);
    await clock.advance(1);
    await sql.answered(index + 2);
  }
  await runStep(db, template, "a");
  await clock.advance(1000);
  assert.equal((await waiting).state, "complete");
  assert.equal(clock.pending, 0, "nobody waits any more");
});

test("an outage only delays the answer", async () => {
  const template = await register(db, { a: [] }, { name: "outage" });
  const task = await createTask(db, template);
  await runStep(db, template, "a");
  const { outcomes, sql, clock } = setup();
  sql.isDown = true;
  const waiting = outcomes.wait(task);
  await sql.answered(1);
  sql.isDown = false;
  await clock.advance(50);
  assert.equal((await waiting).state, "complete");
});

test("who still waits at the close is told so, and so is who comes later", async () => {
  const template = await register(db, { a: [] }, { name: "closed" });
  const task = await createTask(db, template);
  const { outcomes, sql, clock } = setup();
  const waiting = outcomes.wait(task);
  const rejected = assert.rejects(waiting, { message: "Tasker was stopped before the task ended" });
  await sql.answered(1);
  outcomes.close();
  await rejected;
  await assert.rejects(outcomes.wait(task), { message: "Tasker is stopped" });
  assert.equal(clock.pending, 0);
});

test("the error of a task that failed says which step failed and why, and keeps the step's error as its cause", () => {
  const error = { name: "TypeError", message: "x is not a function" };
  const outcome = { id: "1", state: "error", outputs: {}, failure: { step: "pack", error } } as const;
  const failed = new TaskFailedError(outcome);
  assert.equal(failed.message, "Task 1 ended as error: step pack failed with TypeError: x is not a function");
  assert.deepEqual([failed.code, failed.cause, failed.outcome], ["task_failed", error, outcome]);
  const cancelled = new TaskFailedError({ ...outcome, state: "cancelled", failure: null });
  assert.deepEqual([cancelled.message, cancelled.cause], ["Task 1 ended as cancelled", undefined]);
});
