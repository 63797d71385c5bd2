import assert from "node:assert/strict";
import { after, test } from "node:test";

import { assessHealth } from "../../src/analytics/health.ts";
import { testDatabase } from "../support/database.ts";
import { claimStep, createTask, failStep, moveClock, onlyRow, runStep, stopClock } from "../support/engine.ts";
import { close, ownTemplate, performance, within } from "./support.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

const nothing = { completed_tasks: 0, failed_tasks: 0, completion_rate: null };
const idle = { running_steps: 0, running_steps_alive: 0, oldest_claimable_seconds: null };

test("without any evidence there is no score, and each factor says why", () => {
  const { system_health_score, health_factors } = assessHealth(nothing, idle);
  assert.equal(system_health_score, null);
  assert.deepEqual(health_factors, {
    success: { score: null, explanation: "No task completed or failed in the window." },
    liveness: { score: null, explanation: "No step is running." },
    backlog: { score: null, explanation: "No step waits for a worker." },
  });
});

test("the score is the lowest of the factors that have evidence", () => {
  const good = { completed_tasks: 9, failed_tasks: 1, completion_rate: 0.9 };
  assert.equal(assessHealth(good, idle).system_health_score, 0.9);
  assert.equal(assessHealth(good, { ...idle, running_steps: 4, running_steps_alive: 2 }).system_health_score, 0.5);
  assert.equal(assessHealth(good, { ...idle, oldest_claimable_seconds: 600 }).system_health_score, 0);
  assert.equal(assessHealth(nothing, { ...idle, running_steps: 4, running_steps_alive: 4 }).system_health_score, 1);
});

test("a backlog is no worry in its first minute and could not be worse after ten", () => {
  const score = (oldest_claimable_seconds: number) =>
    assessHealth(nothing, { ...idle, oldest_claimable_seconds }).health_factors.backlog.score;
  assert.deepEqual([0, 59, 60, 330, 600, 86_400].map(score), [1, 1, 1, 0.5, 0, 0]);
});

test("success is the share of completed tasks", async () => {
  const template = await ownTemplate(db, { pack: [] });
  for (let i = 0; i < 3; i++) {
    await createTask(db, template);
    await runStep(db, template, "pack");
  }
  await createTask(db, template);
  await failStep(db, template, "pack");
  const { health_factors, system_health_score } = await performance(db, within(template));
  assert.deepEqual(health_factors.success, { score: 0.75, explanation: "3 of 4 tasks that ended completed." });
  assert.deepEqual([health_factors.liveness.score, health_factors.backlog.score], [null, null]);
  assert.equal(system_health_score, 0.75);
});

test("liveness is the share of running steps whose lease has not run out", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await createTask(db, template);
  await claimStep(db, template, "pack", { leaseSeconds: 30 });
  await createTask(db, template);
  await claimStep(db, template, "pack", { leaseSeconds: 60 });
  assert.equal((await performance(db, within(template))).health_factors.liveness.score, 1);
  await moveClock(db, 30);
  const { health_factors } = await performance(db, within(template));
  assert.deepEqual(health_factors.liveness, { score: 0.5, explanation: "1 of 2 running steps have a live lease." });
});

test("the backlog is the age of the oldest step that could be claimed", async () => {
  const template = await ownTemplate(db, { pack: [], send: ["pack"] });
  const { runAt } = await onlyRow<{ runAt: string }>(db, `select tasker.clock() + interval '1 hour' as "runAt"`);
  await createTask(db, template, { runAt });
  assert.equal((await performance(db, within(template))).health_factors.backlog.score, null, "not before run_at");
  await createTask(db, template);
  await moveClock(db, 330);
  const { health_factors } = await performance(db, within(template));
  assert.equal(health_factors.backlog.score, 0.5);
  assert.match(health_factors.backlog.explanation, /has waited 330\.0 s/u);
  await moveClock(db, 7200);
  close((await performance(db, within(template))).health_factors.backlog.score, 0);
});

test("a step that waits for its retry is no backlog until the delay is over", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await createTask(db, template);
  await failStep(db, template, "pack", { retryAfterSeconds: 3000 });
  await moveClock(db, 2999);
  assert.equal((await performance(db, within(template))).health_factors.backlog.score, null);
  await moveClock(db, 1);
  assert.equal((await performance(db, within(template))).health_factors.backlog.score, 1);
});
