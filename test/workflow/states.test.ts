import assert from "node:assert/strict";
import { test } from "node:test";

import { isTaskEnded, taskEnd, taskStates } from "../../src/workflow/states.ts";

test("a task goes on while a step of it can run", () => {
  assert.equal(taskEnd({ unfinished: 2, runnable: 1, failed: 0 }), null);
  assert.equal(taskEnd({ unfinished: 2, runnable: 1, failed: 3 }), null);
});

test("a task is complete when all its steps ended well", () => {
  assert.equal(taskEnd({ unfinished: 0, runnable: 0, failed: 0 }), "complete");
});

test("a task is in error when a step failed and nothing else can run, even if others still wait for the failed one", () => {
  assert.equal(taskEnd({ unfinished: 0, runnable: 0, failed: 1 }), "error");
  assert.equal(taskEnd({ unfinished: 5, runnable: 0, failed: 1 }), "error");
});

test("a task is over in every state but pending and in progress", () => {
  assert.deepEqual(
    taskStates.filter((state) => !isTaskEnded(state)),
    ["pending", "in_progress"],
  );
});
