import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { eventually } from "../support/eventually.ts";
import { type Fleet, setup, type StepRecord } from "./fleet.ts";
import { stepsPerTask } from "./pipeline.ts";

/** Leases and leadership that end soon after the death of who holds them, but outlast a pause of a busy machine. */
const shortLeases = {
  TASKER_WORKER_LEASE_MS: "3000",
  TASKER_WORKER_LEASE_RENEW_MS: "500",
  TASKER_MAINTENANCE_LEADER_LEASE_MS: "2000",
  TASKER_MAINTENANCE_RESCUE_INTERVAL_MS: "200",
};

/** The promise: whatever happened to workers, each step is complete, by one result. */
async function assertEachCompletedOnce(fleet: Fleet, tasks: number): Promise<StepRecord[]> {
  const steps = await fleet.steps();
  assert.equal(steps.length, tasks * stepsPerTask);
  for (const step of steps) {
    assert.equal(step.state, "complete", step.name);
    assert.deepEqual([step.results, step.completions], [1, 1], `${step.name} ${step.key}`);
    assert.ok(step.pids.length > 0);
  }
  return steps;
}

describe("workers that share a database", { timeout: 300_000, concurrency: 1 }, () => {
  test("run each step of 500 tasks exactly once, and both take part", async (t) => {
    const fleet = await setup(t);
    const workers = await Promise.all([fleet.startWorker(), fleet.startWorker()]);
    await fleet.submit(500);
    await fleet.completed(500);
    const steps = await assertEachCompletedOnce(fleet, 500);
    for (const { name, pids, attempt, failedAttempts } of steps) {
      assert.deepEqual([pids.length, attempt, failedAttempts], [1, 1, 0], name);
    }
    const shares = workers.map(({ pid }) => steps.filter(({ pids }) => pids[0] === pid).length);
    assert.equal(shares[0], steps.length - (shares[1] ?? 0));
    for (const share of shares) assert.ok(share > 0, `the shares are ${shares.join(" and ")}`);
  });

  test("take over the steps of one that is killed in the middle of them", async (t) => {
    const fleet = await setup(t);
    const victim = await fleet.startWorker({ hold: "left", env: shortLeases });
    await fleet.submit(60);
    await fleet.begun(victim, "left", 10);
    const survivor = await fleet.startWorker({ env: shortLeases });
    await fleet.begun(survivor, "left", 5);
    victim.kill("SIGKILL");
    assert.equal((await victim.ended).signal, "SIGKILL");
    await fleet.completed(60);
    const steps = await assertEachCompletedOnce(fleet, 60);
    const held = steps.filter(({ name, pids }) => name === "left" && pids.includes(victim.pid));
    assert.equal(held.length, 10);
    for (const { attempt, failedAttempts, output } of held) {
      assert.ok(attempt >= 2 && failedAttempts >= 1);
      assert.equal(output, `left by ${survivor.pid}`);
    }
  });

  test("drop what one that was paused brings after its leases were lost", async (t) => {
    const fleet = await setup(t);
    const paused = await fleet.startWorker({ concurrency: 3, hold: "first", env: shortLeases });
    await fleet.submit(10);
    await fleet.begun(paused, "first", 3);
    paused.kill("SIGSTOP");
    const other = await fleet.startWorker({ env: shortLeases });
    await fleet.completed(10);
    await fleet.openGate();
    paused.kill("SIGCONT");
    await paused.logged(/results came after their lease was lost/u);
    const steps = await assertEachCompletedOnce(fleet, 10);
    for (const { name, output } of steps.filter(({ pids }) => pids.includes(paused.pid))) {
      assert.equal(output, `${name} by ${other.pid}`);
    }
    paused.kill("SIGTERM");
    assert.equal((await paused.ended).code, 0);
  });
});

describe("a worker that is told to stop", { timeout: 300_000, concurrency: 1 }, () => {
  test("lets its steps finish, leaves none half done, and costs no attempt", async (t) => {
    const fleet = await setup(t);
    const leaving = await fleet.startWorker({ concurrency: 5, hold: "first" });
    await fleet.submit(20);
    await fleet.begun(leaving, "first", 5);
    leaving.kill("SIGTERM");
    await leaving.printed(/stopping: steps/u);
    await fleet.openGate();
    const { code, stderr } = await leaving.ended;
    assert.equal(code, 0, stderr);
    const states = (await fleet.steps()).map(({ state }) => state);
    assert.ok(states.filter((state) => state === "complete").length >= 5);
    assert.ok(!states.includes("in_progress"));
    await fleet.startWorker();
    await fleet.completed(20);
    for (const { attempt, failedAttempts, pids } of await assertEachCompletedOnce(fleet, 20)) {
      assert.deepEqual([attempt, failedAttempts, pids.length], [1, 0, 1]);
    }
  });

  test("gives back what does not finish in time, without costing the attempt", async (t) => {
    const fleet = await setup(t);
    const env = { TASKER_WORKER_SHUTDOWN_TIMEOUT_MS: "0" };
    const leaving = await fleet.startWorker({ concurrency: 5, hold: "first", env });
    await fleet.submit(20);
    await fleet.begun(leaving, "first", 5);
    leaving.kill("SIGTERM");
    const { code, stderr } = await leaving.ended;
    assert.equal(code, 0, stderr);
    for (const { attempt, failedAttempts } of await fleet.steps()) assert.deepEqual([attempt, failedAttempts], [0, 0]);
    const next = await fleet.startWorker();
    await fleet.completed(20);
    for (const { attempt, failedAttempts, output, name } of await assertEachCompletedOnce(fleet, 20)) {
      assert.deepEqual([attempt, failedAttempts, output], [1, 0, `${name} by ${next.pid}`]);
    }
  });

  test("ends at once when it is told so again, and others take over its steps", async (t) => {
    const fleet = await setup(t);
    const leaving = await fleet.startWorker({ concurrency: 5, hold: "first", env: shortLeases });
    await fleet.submit(10);
    await fleet.begun(leaving, "first", 5);
    const tell = (): Promise<boolean> => {
      leaving.kill("SIGTERM");
      return Promise.resolve(leaving.hasEnded);
    };
    await eventually("the worker ends", tell, (hasEnded) => hasEnded);
    const { code, stderr } = await leaving.ended;
    assert.equal(code, 130);
    assert.match(stderr, /^ended at once; the next start goes on with what was running$/mu);
    await fleet.startWorker({ env: shortLeases });
    await fleet.completed(10);
    await assertEachCompletedOnce(fleet, 10);
  });
});
