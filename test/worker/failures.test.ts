import assert from "node:assert/strict";
import { after, test } from "node:test";

import { stopClock } from "../support/engine.ts";
import { testDatabase } from "../support/database.ts";
import { deferred } from "../support/deferred.ts";
import { defineTask } from "../../src/workflow/define-task.ts";
import { PermanentError, RetryableError } from "../../src/workflow/errors.ts";
import { Calls, stepOf, untilState, WorkerSystem } from "./setup.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

function named(name: string) {
  return { namespace: "shop", name, version: "1.0.0" };
}

test("an error fails the attempt with its name, message, code and stack", async (t) => {
  const definition = defineTask(named("error")).step("only", { retry: { maxAttempts: 1 } }, () => {
    throw Object.assign(new TypeError("no such card"), { code: "E_CARD", secret: "1234" });
  });
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  await system.ended(task);
  const { state, error, failed_attempts } = await stepOf(db, task);
  assert.deepEqual([state, failed_attempts], ["error", 1]);
  assert.deepEqual(
    { ...error, stack: null },
    { name: "TypeError", message: "no such card", code: "E_CARD", stack: null },
  );
  assert.match(error?.stack ?? "", /^TypeError: no such card\n.*failures\.test\.ts/su);
});

for (const [what, thrown, message] of [
  ["a string", "just text", "just text"],
  ["nothing", undefined, "thrown: undefined"],
  ["an object", { code: 5 }, 'thrown: {"code":5}'],
  [
    "an error whose name and message are no text",
    Object.assign(new Error("x"), { name: 5, message: { a: 1 }, stack: [] }),
    "[object Object]",
  ],
  [
    "an error that cannot be read",
    Object.defineProperty(new Error("x"), "message", {
      get: () => {
        throw new Error("no");
      },
    }),
    "thrown: an error that cannot be read",
  ],
] as const) {
  test(`throwing ${what} fails the attempt, and the worker goes on`, async (t) => {
    const definition = defineTask(named(`throwing-${message.replaceAll(/[^a-z]/gu, "")}`)).step(
      "only",
      { retry: { maxAttempts: 1 } },
      () => {
        // oxlint-disable-next-line typescript/only-throw-error -- a handler may throw anything
        throw thrown;
      },
    );
    const system = await WorkerSystem.start(t, db, [definition]);
    const task = await system.submit(definition);
    await system.ended(task);
    const { state, error } = await stepOf(db, task);
    assert.deepEqual([state, error?.message], ["error", message]);
  });
}

test("a PermanentError ends the step although attempts are left", async (t) => {
  const definition = defineTask(named("permanent")).step("only", { retry: { maxAttempts: 5 } }, () => {
    throw new PermanentError("the card is stolen");
  });
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  await system.ended(task);
  const { state, attempt, error } = await stepOf(db, task);
  assert.deepEqual([state, attempt, error?.name, error?.code], ["error", 1, "PermanentError", "permanent"]);
});

test("a retry runs when its delay is over, without waiting for the next poll", async (t) => {
  const attempts = new Calls<number>();
  const definition = defineTask(named("retry")).step("only", { retry: { maxAttempts: 3 } }, ({ attempt }) => {
    attempts.add(attempt);
    if (attempt === 1) throw new RetryableError("busy", { delayMs: 7000 });
    return "at last";
  });
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  assert.equal(await attempts.next(), 1);
  await untilState(db, task, "waiting_for_retry");
  await system.advance(6999);
  assert.equal(attempts.waiting, 0);
  await system.advance(2);
  assert.equal(await attempts.next(), 2);
  await system.ended(task);
  assert.equal((await stepOf(db, task)).output, "at last");
});

test("an attempt that takes too long is over at its timeout, whether or not its handler heeds the signal", async (t) => {
  const started = new Calls<AbortSignal>();
  const hanging = deferred<string>();
  const definition = defineTask(named("timeout")).step(
    "only",
    { timeoutMs: 2000, retry: { maxAttempts: 1 } },
    ({ signal }) => {
      started.add(signal);
      return hanging.promise;
    },
  );
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  const signal = await started.next();
  await system.advance(1999);
  assert.equal(signal.aborted, false);
  await system.advance(1);
  assert.equal(signal.aborted, true);
  await system.ended(task);
  const { state, error, run_us } = await stepOf(db, task);
  assert.deepEqual(
    [state, error?.code, error?.message],
    ["error", "step_timeout", "step only took longer than 2000 ms"],
  );
  assert.equal(run_us, 2_000_000);
  hanging.resolve("too late");
  assert.equal((await stepOf(db, task)).state, "error");
});

test("an output that cannot be stored fails the step for good, and says why", async (t) => {
  const definition = defineTask(named("output")).step("only", { retry: { maxAttempts: 5 } }, () => "\0");
  const system = await WorkerSystem.start(t, db, [definition]);
  const task = await system.submit(definition);
  await system.ended(task);
  const { state, attempt, error } = await stepOf(db, task);
  assert.deepEqual([state, attempt, error?.code], ["error", 1, "invalid_payload"]);
  assert.match(error?.message ?? "", /^the output of step only of shop\/output 1\.0\.0 holds a NUL character/u);
});
