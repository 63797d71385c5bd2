import assert from "node:assert/strict";
import { after, test } from "node:test";

import { type BottleneckSort, bottleneckSorts } from "../../src/analytics/parameters.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { testDatabase } from "../support/database.ts";
import {
  claim,
  createTask,
  failStep,
  moveClock,
  runStep,
  settle,
  stopClock,
  success,
  type TestTemplate,
} from "../support/engine.ts";
import { bottlenecks, close, figuresOf, ownTemplate, within } from "./support.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

/** Runs the step of a fresh task once for each of the given seconds. */
async function runEach(database: Database, template: TestTemplate, step: string, ...seconds: readonly number[]) {
  for (const one of seconds) {
    await createTask(database, template);
    await runStep(database, template, step, one);
  }
}

test("steps that are equally slow stand in the order of their names", async () => {
  const first = await ownTemplate(db, { b: [], a: [] }, { name: "zebra", version: "1.0.0" });
  const { namespace } = first.spec;
  const templates = [
    first,
    await ownTemplate(db, { c: [], a: [] }, { namespace, name: "apple", version: "2.0.0" }),
    await ownTemplate(db, { b: [], a: [] }, { namespace, name: "apple", version: "10.0.0" }),
  ];
  for (const template of templates) {
    await createTask(db, template);
    const held = await claim(db, template);
    await moveClock(db, 1);
    await settle(db, ...held.map((one) => success(one, null, 1)));
  }
  for (const sort of bottleneckSorts) {
    const { slow_steps } = await bottlenecks(db, { namespace, sort });
    assert.deepEqual(
      slow_steps.map((step) => `${step.task_name} ${step.version} ${step.step_name}`),
      ["apple 10.0.0 a", "apple 10.0.0 b", "apple 2.0.0 a", "apple 2.0.0 c", "zebra 1.0.0 a", "zebra 1.0.0 b"],
      sort,
    );
  }
  const { slow_tasks } = await bottlenecks(db, { namespace });
  assert.deepEqual(
    slow_tasks.map((task) => `${task.task_name} ${task.version}`),
    ["apple 10.0.0", "apple 2.0.0", "zebra 1.0.0"],
  );
});

test("each sort puts the worst first, and what has no such number last", async () => {
  const { namespace } = (await ownTemplate(db, { none: [] })).spec;
  /** A template of one step, whose rounds follow each other: no step waits while another one runs. */
  const rounds = async (step: string, count: number, run: (template: TestTemplate) => Promise<void>) => {
    const template = await ownTemplate(db, { [step]: [] }, { namespace, name: step, retry: { maxAttempts: 3 } });
    for (let i = 0; i < count; i++) {
      await createTask(db, template);
      await run(template);
    }
  };
  await rounds("steady", 4, (template) => runStep(db, template, "steady", 6));
  let seconds = 13;
  await rounds("spiky", 4, async (template) => {
    await runStep(db, template, "spiky", seconds);
    seconds = 0.5;
  });
  await rounds("waiting", 1, async (template) => {
    await moveClock(db, 500);
    await runStep(db, template, "waiting", 0.25);
  });
  await rounds("flaky", 1, async (template) => {
    await failStep(db, template, "flaky", { retryAfterSeconds: 300 });
    await moveClock(db, 300);
    await runStep(db, template, "flaky", 0.125);
  });
  await rounds("broken", 1, (template) => failStep(db, template, "broken", { seconds: 1 }));

  const order = async (sort: BottleneckSort) =>
    (await bottlenecks(db, { namespace, sort })).slow_steps.map((step) => step.step_name);
  assert.deepEqual(await order("average_duration"), ["steady", "spiky", "waiting", "flaky", "broken"]);
  assert.deepEqual(await order("p95_duration"), ["spiky", "steady", "waiting", "flaky", "broken"]);
  assert.deepEqual(await order("total_time"), ["steady", "spiky", "broken", "waiting", "flaky"]);
  assert.deepEqual(await order("queue_wait"), ["waiting", "flaky", "spiky", "steady", "broken"]);
  assert.deepEqual(await order("retry"), ["flaky", "spiky", "steady", "waiting", "broken"]);
  assert.deepEqual(await order("error_rate"), ["broken", "flaky", "spiky", "steady", "waiting"]);
});

test("steps and tasks with fewer executions than min_executions are left out", async () => {
  const template = await ownTemplate(db, { often: [], seldom: [] });
  const rare = await ownTemplate(db, { often: [] }, { namespace: template.spec.namespace, name: "rare" });
  await runEach(db, template, "often", 1, 1, 1);
  await runStep(db, template, "seldom", 100);
  await runStep(db, template, "seldom", 100);
  await createTask(db, rare);
  await failStep(db, rare, "often");

  const names = async (min_executions: number) =>
    (await bottlenecks(db, { ...within(template), min_executions })).slow_steps.map(
      (step) => `${step.task_name} ${step.step_name}`,
    );
  assert.deepEqual(await names(1), ["order seldom", "order often", "rare often"]);
  assert.deepEqual(await names(2), ["order seldom", "order often"]);
  assert.deepEqual(await names(3), ["order often"]);
  assert.deepEqual(await names(4), []);
  const tasks = async (min_executions: number) =>
    (await bottlenecks(db, { ...within(template), min_executions })).slow_tasks.map((task) => task.task_name);
  assert.deepEqual(await tasks(1), ["order", "rare"]);
  assert.deepEqual(await tasks(2), ["order"]);
  assert.deepEqual(await tasks(3), []);
});

test("limit bounds the lists, which begin with the slowest", async () => {
  const graph = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`s${i}`, []]));
  const template = await ownTemplate(db, graph);
  await createTask(db, template);
  for (let i = 0; i < 12; i++) await runStep(db, template, `s${i}`, i + 1);
  const names = async (limit: number, sort: BottleneckSort) =>
    (await bottlenecks(db, { ...within(template), limit, sort })).slow_steps.map((step) => step.step_name);
  for (const sort of ["average_duration", "p95_duration", "total_time"] as const) {
    assert.deepEqual(await names(3, sort), ["s11", "s10", "s9"], sort);
    assert.equal((await names(100, sort)).length, 12, sort);
  }
  assert.equal((await bottlenecks(db, { ...within(template), limit: 1 })).slow_tasks.length, 1);
});

test("the share of the template's time is over all its steps, also over those that are not listed", async () => {
  const template = await ownTemplate(db, { big: [], small: [], failing: [] });
  await createTask(db, template);
  await runStep(db, template, "big", 60);
  await runStep(db, template, "small", 10);
  await failStep(db, template, "failing", { seconds: 30 });
  const answer = await bottlenecks(db, { ...within(template), limit: 1 });
  assert.deepEqual(
    answer.slow_steps.map((step) => [step.step_name, step.share_of_template_time]),
    [["big", 0.6]],
  );
  const all = await bottlenecks(db, within(template));
  close(figuresOf(all, "small").share_of_template_time, 0.1);
  close(figuresOf(all, "failing").share_of_template_time, 0.3);
  assert.equal(figuresOf(all, "failing").total_time_seconds, 30);
});

test("the same data gives the same answer, however it is asked", async () => {
  const parameters = { hours: 48, limit: 100 };
  const first = await bottlenecks(db, parameters);
  for (let i = 0; i < 7; i++) assert.deepEqual(await bottlenecks(db, parameters), first);
});

test("tasks are ranked by their own duration, and carry their steps' numbers", async () => {
  const quick = await ownTemplate(db, { pack: [], send: ["pack"] }, { name: "quick" });
  const { namespace } = quick.spec;
  const slow = await ownTemplate(db, { pack: [] }, { namespace, name: "slow" });
  await createTask(db, quick);
  await runStep(db, quick, "pack", 30);
  await runStep(db, quick, "send", 30);
  await createTask(db, slow);
  await moveClock(db, 100);
  await runStep(db, slow, "pack", 1);
  await createTask(db, slow);
  await failStep(db, slow, "pack", { seconds: 5 });

  const { slow_tasks } = await bottlenecks(db, { namespace });
  const rows = slow_tasks.map((task) => ({
    name: task.task_name,
    average: task.average_duration_seconds,
    max: task.max_duration_seconds,
    executions: task.execution_count,
    steps: task.average_step_count,
    errors: [task.error_count, task.error_rate, task.failed_step_count],
  }));
  assert.deepEqual(rows, [
    { name: "slow", average: 101, max: 101, executions: 2, steps: 1, errors: [1, 0.5, 1] },
    { name: "quick", average: 60, max: 60, executions: 1, steps: 2, errors: [0, 0, 0] },
  ]);
  const byErrors = await bottlenecks(db, { namespace, sort: "error_rate" });
  assert.deepEqual(
    byErrors.slow_tasks.map((task) => task.task_name),
    ["slow", "quick"],
  );
});
