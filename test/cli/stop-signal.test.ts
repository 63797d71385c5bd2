import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { stopSignal } from "../../src/cli/stop-signal.ts";
import { ManualClock } from "../support/clock.ts";

describe("a stop signal", () => {
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    test(`is ${name}`, async () => {
      const stop = stopSignal(new ManualClock(), () => assert.fail("there was no second one"));
      assert.equal(stop.signal.aborted, false);
      process.emit(name);
      assert.equal(stop.signal.aborted, true);
      await stop.requested;
      stop.dispose();
      assert.equal(process.listenerCount(name), 0);
    });
  }

  test("comes twice from one Ctrl-C under npm, which counts once; a later one is impatient", async () => {
    const clock = new ManualClock();
    let impatient = 0;
    const stop = stopSignal(clock, () => {
      impatient += 1;
    });
    process.emit("SIGINT");
    process.emit("SIGINT");
    await clock.advance(500);
    process.emit("SIGINT");
    assert.equal(impatient, 0);
    await clock.advance(1);
    process.emit("SIGINT");
    assert.equal(impatient, 1);
    stop.dispose();
  });
});
