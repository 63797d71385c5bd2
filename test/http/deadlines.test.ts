import assert from "node:assert/strict";
import { test } from "node:test";

import { Deadlines } from "../../src/http/deadlines.ts";
import { ManualClock } from "../support/clock.ts";

function setup() {
  const clock = new ManualClock();
  const exceeded: string[] = [];
  const deadlines = new Deadlines<string>({ clock, timeoutMs: 100, onExceeded: (request) => exceeded.push(request) });
  return { clock, exceeded, deadlines };
}

test("each request has its own deadline, and all of them one timer", async () => {
  const { clock, exceeded, deadlines } = setup();
  deadlines.begin("a");
  await clock.advance(30);
  deadlines.begin("b");
  await clock.advance(30);
  deadlines.begin("c");
  assert.equal(clock.pending, 1);
  await clock.advance(39);
  assert.deepEqual(exceeded, []);
  await clock.advance(1);
  assert.deepEqual(exceeded, ["a"]);
  assert.equal(deadlines.end("b"), 70);
  await clock.advance(60);
  assert.deepEqual(exceeded, ["a", "c"]);
  assert.equal(clock.pending, 0);
});

test("a request that ended in time tells how long it took, and one that did not tells nothing", async () => {
  const { clock, exceeded, deadlines } = setup();
  deadlines.begin("a");
  deadlines.begin("b");
  await clock.advance(50);
  assert.equal(deadlines.end("a"), 50);
  assert.equal(deadlines.end("a"), undefined);
  await clock.advance(50);
  assert.equal(deadlines.end("b"), undefined);
  assert.deepEqual(exceeded, ["b"]);
  // After a quiet time the timer is set again.
  deadlines.begin("c");
  await clock.advance(100);
  assert.deepEqual(exceeded, ["b", "c"]);
});
