import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { withinBudget } from "../../src/cache/providers/redis-budget.ts";
import { failureOf, storeError } from "../../src/cache/providers/redis-errors.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { ManualClock } from "../support/clock.ts";
import { deferred } from "../support/deferred.ts";

/** As the library makes them. */
const replyError = (message: string): Error => Object.assign(new Error(message), { name: "ReplyError" });

const late = (): Error => new Error("late");

describe("the budget of a command", () => {
  test("is spent when nothing has come and the loop has turned once more", async () => {
    const clock = new ManualClock();
    const verdict = assert.rejects(withinBudget(clock, 25, new Promise(() => undefined), late), /late/u);
    await clock.advance(25);
    await verdict;
    assert.equal(clock.pending, 0);
  });

  test("leaves no timer when the reply comes in time", async () => {
    const clock = new ManualClock();
    assert.equal(await withinBudget(clock, 25, Promise.resolve("reply"), late), "reply");
    await assert.rejects(withinBudget(clock, 25, Promise.reject(new Error("refused")), late), /refused/u);
    await clock.advance(0);
    assert.equal(clock.pending, 0);
  });

  test("blames nobody for a busy process: a reply that has arrived is read before the verdict", async () => {
    const { promise, resolve } = deferred<string>();
    const reply = withinBudget(systemClock, 5, promise, late);
    // It arrives by way of the event loop, as a socket's data does, while the process is busy beyond the budget.
    setImmediate(() => resolve("reply"));
    const untilMs = performance.now() + 50;
    while (performance.now() < untilMs);
    assert.equal(await reply, "reply");
  });
});

describe("the reason of a failure", () => {
  const replies: readonly (readonly [message: string, reason: string])[] = [
    ["OOM command not allowed when used memory > 'maxmemory'.", "oom"],
    ["ERR Error running script (call to f_1): @user_script:6: @user_script: 6: -OOM command not allowed", "oom"],
    ["READONLY You can't write against a read only replica.", "readonly"],
    ["LOADING Redis is loading the dataset in memory", "loading"],
    ["NOAUTH Authentication required.", "noauth"],
    ["WRONGPASS invalid username-password pair or user is disabled.", "wrongpass"],
    ["NOPERM this user has no permissions to run the 'get' command", "noperm"],
    ["MOVED 3999 127.0.0.1:6381", "moved"],
    ["ASK 3999 127.0.0.1:6381", "ask"],
    ["CLUSTERDOWN Hash slot not served", "clusterdown"],
    ["CROSSSLOT Keys in request don't hash to the same slot", "crossslot"],
    ["MASTERDOWN Link with MASTER is down", "masterdown"],
    ["MISCONF Redis is configured to save RDB snapshots", "misconf"],
    ["BUSY Redis is busy running a script", "busy"],
    ["WRONGTYPE Operation against a key holding the wrong kind of value", "wrongtype"],
    ["ERR unknown command", "error_reply"],
  ];

  for (const [message, reason] of replies) {
    test(`${reason}: ${message}`, () => assert.equal(failureOf(replyError(message)), reason));
  }

  test("is the connection's for everything that is no reply", () => {
    assert.equal(failureOf(new Error("read ECONNRESET")), "connection");
    assert.equal(failureOf("text"), "connection");
  });

  test("is passed on without the command, which has passwords and whole values", () => {
    const error = Object.assign(replyError("ERR no"), { command: { name: "auth", args: ["s3cret"] } });
    const passed = storeError(error);
    assert.doesNotMatch(JSON.stringify([passed, passed.stack, passed.cause]), /s3cret/u);
  });
});
