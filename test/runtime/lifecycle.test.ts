import assert from "node:assert/strict";
import { test } from "node:test";

import { PeriodicService, stopAll, type Service } from "../../src/runtime/lifecycle.ts";
import { silentLogger, type Logger } from "../../src/runtime/logging.ts";
import { ManualClock } from "../support/clock.ts";

interface Setup {
  readonly clock: ManualClock;
  readonly service: PeriodicService;
  /** `warn` and `info` with their message, in order. */
  readonly logged: string[];
}

function setup(runOnce: (signal: AbortSignal) => Promise<void>, intervalMs = 1000): Setup {
  const clock = new ManualClock();
  const logged: string[] = [];
  const logger: Logger = {
    ...silentLogger,
    warn: (_fields: unknown, message?: string) => void logged.push(`warn ${message}`),
    info: (_fields: unknown, message?: string) => void logged.push(`info ${message}`),
  };
  return { clock, logged, service: new PeriodicService({ name: "chore", intervalMs, runOnce, clock, logger }) };
}

/** A promise that a test resolves. */
function gate(): { readonly passed: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}

test("the chore runs at the start and then once an interval", async () => {
  let runs = 0;
  const { clock, service } = setup(async () => void (runs += 1));
  await service.start();
  await clock.advance(0);
  assert.equal(runs, 1);
  await clock.advance(999);
  assert.equal(runs, 1);
  await clock.advance(1);
  assert.equal(runs, 2);
  await clock.advance(3000);
  assert.equal(runs, 5);
  await service.stop();
});

test("start and stop are idempotent, and a stopped service leaves no timer", async () => {
  let runs = 0;
  const { clock, service } = setup(async () => void (runs += 1));
  await service.stop();
  await Promise.all([service.start(), service.start()]);
  await clock.advance(0);
  assert.equal(runs, 1);
  await Promise.all([service.stop(), service.stop()]);
  await service.stop();
  assert.equal(clock.pending, 0);
  await clock.advance(10_000);
  assert.equal(runs, 1);
});

test("stop tells the run under way and waits for it", async () => {
  const { passed, open } = gate();
  let signalled = false;
  let ended = false;
  const { clock, service } = setup(async (signal) => {
    signal.addEventListener("abort", () => (signalled = true));
    await passed;
    ended = true;
  });
  await service.start();
  await clock.advance(0);
  const stopped = service.stop().then(() => assert.ok(ended, "stop resolved before the run was over"));
  await clock.advance(0);
  assert.ok(signalled);
  open();
  await stopped;
});

test("a service that starts again while it stops never runs twice at once", async () => {
  const { passed, open } = gate();
  let running = 0;
  let runs = 0;
  const { clock, service } = setup(async () => {
    running += 1;
    runs += 1;
    assert.equal(running, 1);
    await passed;
    running -= 1;
  });
  await service.start();
  await clock.advance(0);
  const stopped = service.stop();
  await service.start();
  await clock.advance(5000);
  assert.equal(runs, 1);
  open();
  await stopped;
  await clock.advance(0);
  assert.equal(runs, 2);
  await service.stop();
});

test("nudge runs the chore at once, and once more after the run under way", async () => {
  const gates = [gate(), gate(), gate()];
  let runs = 0;
  const { clock, service } = setup(async () => {
    runs += 1;
    await gates[runs - 1]?.passed;
  });
  await service.start();
  await clock.advance(0);
  service.nudge();
  service.nudge();
  await clock.advance(0);
  assert.equal(runs, 1);
  gates[0]?.open();
  await clock.advance(0);
  assert.equal(runs, 2);
  gates[1]?.open();
  await clock.advance(0);
  assert.equal(runs, 2);
  service.nudge();
  await clock.advance(0);
  assert.equal(runs, 3);
  gates[2]?.open();
  await service.stop();
});

test("an error does not end the loop and is logged once for each change of state", async () => {
  let broken = true;
  let runs = 0;
  const { clock, service, logged } = setup(async () => {
    runs += 1;
    if (broken) throw new Error("no database");
  });
  await service.start();
  await clock.advance(5000);
  assert.equal(runs, 6);
  assert.deepEqual(logged, ["warn chore failed and will be tried again"]);
  broken = false;
  await clock.advance(5000);
  assert.equal(runs, 11);
  assert.equal(logged[1], "info chore works again");
  broken = true;
  await clock.advance(2000);
  assert.equal(logged.length, 3);
  await service.stop();
});

test("a failing chore is tried again within seconds, however long its interval is, and nudges do not hurry it", async () => {
  let runs = 0;
  const hourMs = 3_600_000;
  const { clock, service } = setup(async () => {
    runs += 1;
    throw new Error("no database");
  }, hourMs);
  await service.start();
  await clock.advance(0);
  for (let count = 0; count < 10; count += 1) {
    service.nudge();
    await clock.advance(0);
  }
  assert.equal(runs, 1);
  await clock.advance(10_000);
  assert.equal(runs, 2);
  await service.stop();
});

test("a logger that throws does not end the loop", async () => {
  let runs = 0;
  const clock = new ManualClock();
  const fail = (): void => {
    throw new Error("no disk");
  };
  const service = new PeriodicService({
    name: "chore",
    intervalMs: 1000,
    runOnce: () => {
      runs += 1;
      throw new Error("no database");
    },
    clock,
    logger: { debug: fail, info: fail, warn: fail, error: fail },
  });
  await service.start();
  await clock.advance(2000);
  assert.equal(runs, 3);
  await service.stop();
});

test("a run that fails because it was told to stop is not a failure", async () => {
  const { clock, service, logged } = setup(
    (signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted")))),
  );
  await service.start();
  await clock.advance(0);
  await service.stop();
  assert.deepEqual(logged, []);
});

test("stopAll stops the last started first and goes on when one rejects", async () => {
  const stopped: string[] = [];
  const errors: unknown[] = [];
  const named = (name: string): Service => ({
    name,
    start: () => Promise.resolve(),
    stop: () => {
      stopped.push(name);
      return name === "b" ? Promise.reject(new Error("broken")) : Promise.resolve();
    },
  });
  await stopAll([named("a"), named("b"), named("c")], {
    ...silentLogger,
    error: (_fields: unknown, message?: string) => void errors.push(message),
  });
  assert.deepEqual(stopped, ["c", "b", "a"]);
  assert.deepEqual(errors, ["b did not stop cleanly"]);
});
