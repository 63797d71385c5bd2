import assert from "node:assert/strict";
import { after, test } from "node:test";

import { checkParameters, defaultBottlenecks, parameterRanges } from "../../src/analytics/parameters.ts";
import { testDatabase } from "../support/database.ts";
import { createTask, databaseTime, moveClock, runStep, setClock, stopClock } from "../support/engine.ts";
import { analyticsOf, bottlenecks, figuresOf, ownTemplate, performance, within } from "./support.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

test("windows up to 48 hours begin at a whole minute, longer ones at a whole hour, and the answer says when", async () => {
  await setClock(db, "2026-03-20T07:45:31.123456Z");
  const starts = async (hours: number) => (await performance(db, { hours })).analysis_period_start;
  assert.equal(await starts(1), "2026-03-20T06:45:00.000000Z");
  assert.equal(await starts(24), "2026-03-19T07:45:00.000000Z");
  assert.equal(await starts(48), "2026-03-18T07:45:00.000000Z");
  assert.equal(await starts(49), "2026-03-18T06:00:00.000000Z");
  assert.equal(await starts(8760), "2025-03-20T07:00:00.000000Z");
});

test("an answer says until when it speaks, when it was computed and what it is restricted to", async () => {
  const now = await databaseTime(db);
  const filter = { namespace: "shop", task_name: "order", version: "1.0.0" };
  const answer = await performance(db, filter);
  assert.deepEqual([answer.analysis_period_end, answer.calculated_at, answer.data_through], [now, now, now]);
  assert.deepEqual(answer.filters, filter);
  assert.equal(answer.percentile_relative_error, 0.01);
  const list = await bottlenecks(db, { limit: 3, min_executions: 7, sort: "retry" });
  assert.deepEqual([list.limit, list.min_executions, list.sort], [3, 7, "retry"]);
  assert.deepEqual([list.analysis_period_end, list.calculated_at, list.data_through], [now, now, now]);
});

test("what ended at the window's very beginning is in it, what ended a microsecond before is not", async () => {
  const template = await ownTemplate(db, { pack: [] });
  for (const at of ["2026-03-20T06:44:59.999999Z", "2026-03-20T06:45:00.000000Z"]) {
    await setClock(db, at);
    await createTask(db, template);
    await runStep(db, template, "pack");
  }
  await setClock(db, "2026-03-20T07:45:31Z");
  assert.equal((await performance(db, { ...within(template), hours: 1 })).completed_tasks, 1);
  await setClock(db, "2026-03-20T07:44:59.999999Z");
  assert.equal((await performance(db, { ...within(template), hours: 1 })).completed_tasks, 2);
});

test("the window of all history begins with the first task", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await setClock(db, "2026-01-02T03:04:05.678901Z");
  await createTask(db, template);
  await runStep(db, template, "pack", 60);
  await setClock(db, "2026-03-20T08:00:00Z");
  await createTask(db, template);
  await runStep(db, template, "pack", 20);

  const all = await performance(db, { ...within(template), hours: 0 });
  assert.equal(all.analysis_period_start, "2026-01-02T03:04:05.678901Z");
  assert.equal(all.completed_tasks, 2);
  assert.equal(all.average_step_duration_seconds, 40);
  assert.equal(all.step_duration.max_seconds, 60);
  const list = await bottlenecks(db, { ...within(template), hours: 0 });
  assert.equal(figuresOf(list, "pack").execution_count, 2);
  assert.equal((await performance(db, within(template))).completed_tasks, 1);
});

test("windows count the same at every edge of hours and days", async () => {
  const template = await ownTemplate(db, { pack: [] });
  const edges = ["2026-03-28T23:59:59.999999Z", "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"];
  for (const at of edges) {
    await setClock(db, at);
    await createTask(db, template);
    await runStep(db, template, "pack");
  }
  const counts = async (now: string, ...hours: readonly number[]) => {
    await setClock(db, now);
    const answers: number[] = [];
    for (const one of hours) answers.push((await performance(db, { ...within(template), hours: one })).completed_tasks);
    return answers;
  };
  assert.deepEqual(await counts("2026-03-30T00:00:00Z", 1, 23, 24, 25, 48, 49, 72), [1, 2, 3, 4, 4, 4, 4]);
  assert.deepEqual(await counts("2026-03-30T00:30:00Z", 1, 23, 24, 25, 48, 49, 72), [1, 1, 2, 4, 4, 4, 4]);
  assert.deepEqual(await counts("2026-03-31T01:00:00.000001Z", 25, 48, 49, 50, 72), [1, 2, 3, 4, 4]);
});

test("a filter restricts every number to the namespace, the task's name, the version, or all of them", async () => {
  await setClock(db, "2026-04-20T12:00:00Z");
  const one = await ownTemplate(db, { pack: [] }, { name: "order", version: "1.0.0" });
  const { namespace } = one.spec;
  const variants = [
    { template: one, seconds: 1 },
    { template: await ownTemplate(db, { pack: [] }, { namespace, name: "order", version: "2.0.0" }), seconds: 10 },
    { template: await ownTemplate(db, { pack: [] }, { namespace, name: "parcel", version: "1.0.0" }), seconds: 100 },
    { template: await ownTemplate(db, { pack: [] }, { name: "order", version: "1.0.0" }), seconds: 1000 },
  ];
  for (const { template, seconds } of variants) {
    await createTask(db, template);
    await runStep(db, template, "pack", seconds);
  }
  const totals = async (filter: { namespace?: string; task_name?: string; version?: string }) => {
    const { completed_tasks, average_step_duration_seconds } = await performance(db, { ...filter, hours: 1 });
    const { slow_steps, slow_tasks, resource_utilization } = await bottlenecks(db, { ...filter, hours: 1 });
    assert.equal(slow_steps.length, completed_tasks);
    assert.equal(slow_tasks.length, completed_tasks);
    assert.ok(resource_utilization.system_health.total_steps >= completed_tasks);
    return completed_tasks * (average_step_duration_seconds ?? 0);
  };
  assert.equal(await totals({}), 1111);
  assert.equal(await totals({ namespace }), 111);
  assert.equal(await totals({ task_name: "parcel" }), 100);
  assert.equal(await totals({ version: "2.0.0" }), 10);
  assert.equal(await totals({ namespace, task_name: "order" }), 11);
  assert.equal(await totals({ namespace, version: "1.0.0" }), 101);
  assert.equal(await totals({ namespace, task_name: "order", version: "1.0.0" }), 1);
  assert.equal(await totals({ namespace: "nobody" }), 0);
});

test("the health counts of a filter are those of its templates", async () => {
  const template = await ownTemplate(db, { pack: [], send: ["pack"] });
  await createTask(db, template);
  await createTask(db, await ownTemplate(db, { pack: [] }));
  const { total_tasks, total_steps, steps } = (await bottlenecks(db, within(template))).resource_utilization
    .system_health;
  assert.deepEqual([total_tasks, total_steps, steps.enqueued, steps.pending], [1, 2, 1, 1]);
});

test("an answer knows whether anything is registered under its filter", async () => {
  const template = await ownTemplate(db, { pack: [] });
  const service = analyticsOf(db);
  assert.equal((await service.performance({ hours: 1 })).identitiesKnown, true);
  assert.equal((await service.performance({ hours: 1, ...within(template) })).identitiesKnown, true);
  assert.equal((await service.performance({ hours: 1, namespace: "nobody" })).identitiesKnown, false);
  assert.equal((await service.bottlenecks({ ...defaultBottlenecks, version: "none" })).identitiesKnown, false);
});

test("tasks that ended after the answer's time began to be asked for do not get lost", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await createTask(db, template);
  await runStep(db, template, "pack");
  await moveClock(db, -1);
  assert.equal((await performance(db, { ...within(template), hours: 1 })).completed_tasks, 1);
  await moveClock(db, 1);
});

test("a parameter outside its range is an error that names both", () => {
  const { hours, limit, min_executions } = parameterRanges;
  for (const value of [hours.min, hours.max]) checkParameters({ hours: value });
  for (const value of [limit.min, limit.max]) checkParameters({ limit: value });
  for (const value of [min_executions.min, min_executions.max]) checkParameters({ min_executions: value });
  checkParameters(defaultBottlenecks);
  const wrong = [
    { parameters: { hours: -1 }, message: "hours must be a whole number from 0 to 8760, got -1" },
    { parameters: { hours: 8761 }, message: "hours must be a whole number from 0 to 8760, got 8761" },
    { parameters: { hours: 1.5 }, message: "hours must be a whole number from 0 to 8760, got 1.5" },
    { parameters: { hours: Number.NaN }, message: "hours must be a whole number from 0 to 8760, got NaN" },
    { parameters: { limit: 0 }, message: "limit must be a whole number from 1 to 100, got 0" },
    { parameters: { limit: 101 }, message: "limit must be a whole number from 1 to 100, got 101" },
    { parameters: { min_executions: 0 }, message: "min_executions must be a whole number from 1 to 1000000, got 0" },
  ];
  for (const { parameters, message } of wrong) {
    assert.throws(() => checkParameters(parameters), { code: "invalid_parameter", message });
  }
});
