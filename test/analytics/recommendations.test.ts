import assert from "node:assert/strict";
import { after, test } from "node:test";

import { recommend, type StepAlert } from "../../src/analytics/recommendations.ts";
import { testDatabase } from "../support/database.ts";
import { createTask, failStep, moveClock, runStep, stopClock } from "../support/engine.ts";
import { bottlenecks, ownTemplate, within } from "./support.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

const thresholds = { errorRate: 0.2, poolUtilization: 0.8, slowStepSeconds: 30 };

const healthy: StepAlert = {
  namespace_name: "shop",
  task_name: "order",
  version: "1.0.0",
  step_name: "pack",
  average_duration_seconds: 1,
  average_dependency_wait_seconds: 0,
  average_queue_wait_seconds: 0,
  average_retry_seconds: 0,
  error_rate: 0,
  error_count: 0,
  execution_count: 10,
  attempt_count: 10,
  failed_attempt_count: 0,
};

function recommendFor(alert: Partial<StepAlert>, poolUtilization = 0): ReturnType<typeof recommend> {
  return recommend([{ ...healthy, ...alert }], poolUtilization, thresholds);
}

test("at a threshold nothing is recommended, above it something is", () => {
  assert.deepEqual(recommendFor({ error_rate: 0.2, average_duration_seconds: 30 }, 0.8), {
    findings: [],
    recommendations: [],
  });
  assert.deepEqual(
    recommendFor({ error_rate: 0.200_001, average_duration_seconds: 30.000_001 }, 0.800_001).findings.map(
      ({ code }) => code,
    ),
    ["high_error_rate", "slow_step", "pool_saturated"],
  );
});

test("a step without executions that completed or failed gets no recommendation", () => {
  assert.deepEqual(recommendFor({ error_rate: null, average_duration_seconds: null }).findings, []);
});

test("each sentence names its step, the number behind it and what to do", () => {
  const { recommendations } = recommendFor(
    { error_rate: 0.25, error_count: 5, execution_count: 20, average_duration_seconds: 45 },
    0.9,
  );
  assert.deepEqual(recommendations, [
    "Step pack of shop/order 1.0.0 fails in 25.0 % of its executions (5 of 20): look at its handler.",
    "Step pack of shop/order 1.0.0 takes 45.0 s on average: look at its handler.",
    "90.0 % of the database pool is in use: raise max_connections in [database], or run fewer steps at once.",
  ]);
});

test("the remedy for a slow step is where most of its life goes", () => {
  const remedy = (parts: Partial<StepAlert>) =>
    recommendFor({ average_duration_seconds: 40, ...parts }).findings.map((finding) => finding.remedy);
  assert.deepEqual(remedy({}), ["fix_handler"]);
  assert.deepEqual(remedy({ average_queue_wait_seconds: 41 }), ["add_workers"]);
  assert.deepEqual(remedy({ average_retry_seconds: 41, average_queue_wait_seconds: 40 }), ["fix_retries"]);
  assert.deepEqual(remedy({ average_dependency_wait_seconds: 41 }), ["reshape_graph"]);
  assert.deepEqual(remedy({ average_queue_wait_seconds: null, average_retry_seconds: 40 }), ["fix_handler"]);
});

test("the remedy for a step that fails is in its retries when these take longer than its runs", () => {
  const remedy = (parts: Partial<StepAlert>) =>
    recommendFor({ error_rate: 0.3, ...parts }).findings.map((finding) => finding.remedy);
  assert.deepEqual(remedy({}), ["fix_handler"]);
  assert.deepEqual(remedy({ average_retry_seconds: 2 }), ["fix_retries"]);
  assert.deepEqual(remedy({ average_queue_wait_seconds: 20, average_dependency_wait_seconds: 30 }), ["fix_handler"]);
  assert.deepEqual(remedy({ average_duration_seconds: null }), ["fix_handler"]);
});

test("what is half broken or entirely used is critical", () => {
  const severities = (error_rate: number, pool: number) =>
    recommendFor({ error_rate }, pool).findings.map((finding) => finding.severity);
  assert.deepEqual(severities(0.49, 0.99), ["warning", "warning"]);
  assert.deepEqual(severities(0.5, 1), ["critical", "critical"]);
});

test("steps beyond a threshold are recommended on, also those that are not among the slowest", async () => {
  const template = await ownTemplate(db, { slow: [], flaky: [], fine: [] });
  for (let i = 0; i < 4; i++) {
    await createTask(db, template);
    await runStep(db, template, "slow", 31);
    await runStep(db, template, "fine", 29);
    if (i === 0) await failStep(db, template, "flaky");
    else await runStep(db, template, "flaky", 0.001);
  }
  const parameters = { ...within(template), limit: 1, min_executions: 4 };
  const { slow_steps, findings, recommendations } = await bottlenecks(db, parameters);
  assert.deepEqual(
    slow_steps.map((step) => step.step_name),
    ["slow"],
  );
  const { namespace, name: task_name, version } = template.spec;
  const subject = { namespace_name: namespace, task_name, version };
  assert.deepEqual(
    findings.map((finding) => [finding.code, finding.subject]),
    [
      ["high_error_rate", { ...subject, step_name: "flaky" }],
      ["slow_step", { ...subject, step_name: "slow" }],
    ],
  );
  assert.deepEqual(findings[0]?.evidence, {
    error_rate: 0.25,
    error_count: 1,
    execution_count: 4,
    attempt_count: 4,
    failed_attempt_count: 1,
    dependency_wait_seconds: 0,
    queue_wait_seconds: findings[0]?.evidence["queue_wait_seconds"],
    retry_seconds: 0,
    run_seconds: 0.001,
  });
  assert.equal(recommendations.length, 2);
  assert.match(recommendations[0] ?? "", new RegExp(`^Step flaky of ${namespace}/order 1.0.0 fails in 25.0 %`, "u"));
  assert.match(recommendations[1] ?? "", new RegExp(`^Step slow of ${namespace}/order 1.0.0 takes 31.0 s`, "u"));
});

test("a step with too few executions to judge gets no recommendation", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await createTask(db, template);
  await failStep(db, template, "pack");
  const asked = { ...within(template), min_executions: 2 };
  assert.deepEqual((await bottlenecks(db, asked)).findings, []);
  await createTask(db, template);
  await failStep(db, template, "pack");
  assert.equal((await bottlenecks(db, asked)).findings.length, 1);
});

test("a step that is slow because it waits for workers is told apart from a slow handler", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await createTask(db, template);
  await moveClock(db, 500);
  await runStep(db, template, "pack", 40);
  const { findings, recommendations } = await bottlenecks(db, within(template));
  assert.equal(findings[0]?.remedy, "add_workers");
  assert.match(recommendations[0] ?? "", /add workers/u);
});

test("the pool's utilization is that of the engine's pool, and a pool without connections is not in use", async () => {
  const busy = await bottlenecks(db, { namespace: "nobody" }, { poolUsed: 9, poolMax: 10 });
  assert.equal(busy.resource_utilization.database_pool_utilization, 0.9);
  assert.deepEqual(
    busy.findings.map(({ code }) => code),
    ["pool_saturated"],
  );
  const none = await bottlenecks(db, { namespace: "nobody" }, { poolUsed: 0, poolMax: 0 });
  assert.equal(none.resource_utilization.database_pool_utilization, 0);
  assert.deepEqual(none.recommendations, []);
});
