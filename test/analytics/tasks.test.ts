import assert from "node:assert/strict";
import { after, test } from "node:test";

import { cancelTask, resetStep, resolveStep, resolveTask } from "../../src/engine/operate.ts";
import { testDatabase } from "../support/database.ts";
import {
  claim,
  createTask,
  failStep,
  findStep,
  moveClock,
  runStep,
  settle,
  failure,
  stopClock,
  success,
} from "../support/engine.ts";
import { bottlenecks, close, ownTemplate, performance, within } from "./support.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

const operator = { actor: "test", reason: "because" };
const hour = 3600;

test("a task with one finished step of two is not completed", async () => {
  const template = await ownTemplate(db, { pack: [], send: ["pack"] });
  await createTask(db, template);
  await runStep(db, template, "pack", 5);

  const answer = await performance(db, within(template));
  assert.equal(answer.completed_tasks, 0);
  assert.equal(answer.failed_tasks, 0);
  assert.equal(answer.active_tasks, 1);
  assert.equal(answer.total_tasks, 1);
  assert.equal(answer.completion_rate, null);
  assert.equal(answer.average_task_duration_seconds, null);
  assert.equal(answer.step_execution_count, 1);
  assert.equal(answer.average_step_duration_seconds, 5);
});

test("a task with two failed steps is one failure", async () => {
  const template = await ownTemplate(db, { card: [], stock: [] });
  await createTask(db, template);
  await failStep(db, template, "card");
  await failStep(db, template, "stock");

  const answer = await performance(db, within(template));
  assert.equal(answer.failed_tasks, 1);
  assert.equal(answer.completed_tasks, 0);
  assert.equal(answer.step_error_count, 2);
  const [task] = (await bottlenecks(db, within(template))).slow_tasks;
  assert.equal(task?.error_count, 1);
  assert.equal(task?.failed_step_count, 2);
  assert.equal(task?.average_step_count, 2);
});

test("a task counts in the window in which it ended, whenever it was created", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await createTask(db, template);
  await moveClock(db, 30 * hour);
  await runStep(db, template, "pack", 1);

  const ended = await performance(db, { ...within(template), hours: 1 });
  assert.equal(ended.completed_tasks, 1);
  assert.equal(ended.average_task_duration_seconds, 30 * hour + 1);

  await moveClock(db, 3 * hour);
  const later = await performance(db, { ...within(template), hours: 1 });
  assert.equal(later.completed_tasks, 0);
  assert.equal(later.step_execution_count, 0);
  assert.equal(later.average_task_duration_seconds, null);
  assert.equal(later.total_tasks, 1);
});

test("when all tasks failed the error rate is 1, however many of their steps failed", async () => {
  const template = await ownTemplate(db, { card: [], stock: [], mail: [] });
  await createTask(db, template);
  for (const step of ["card", "stock", "mail"]) await failStep(db, template, step);

  const answer = await performance(db, within(template));
  assert.equal(answer.error_rate, 1);
  assert.equal(answer.completion_rate, 0);
  assert.equal(answer.health_factors.success.score, 0);
});

test("where nothing finished, rates, means and percentiles are null and counts are 0", async () => {
  const template = await ownTemplate(db, { pack: [] });
  const answer = await performance(db, within(template));
  const { total_tasks, active_tasks, completed_tasks, failed_tasks, cancelled_tasks, resolved_tasks } = answer;
  assert.deepEqual(
    [total_tasks, active_tasks, completed_tasks, failed_tasks, cancelled_tasks, resolved_tasks],
    [0, 0, 0, 0, 0, 0],
  );
  assert.deepEqual([answer.completion_rate, answer.error_rate, answer.system_health_score], [null, null, null]);
  assert.deepEqual([answer.average_task_duration_seconds, answer.average_step_duration_seconds], [null, null]);
  assert.deepEqual(answer.step_life, {
    dependency_wait_seconds: null,
    queue_wait_seconds: null,
    retry_seconds: null,
    run_seconds: null,
  });
  assert.deepEqual([answer.tasks_per_hour, answer.steps_per_hour], [0, 0]);
  assert.deepEqual([answer.attempt_count, answer.failed_attempt_count, answer.reopened_count], [0, 0, 0]);
});

test("the rates are over completed and failed tasks; cancelled and resolved ones are counted beside them", async () => {
  const template = await ownTemplate(db, { pack: [] });
  for (let i = 0; i < 3; i++) {
    await createTask(db, template);
    await runStep(db, template, "pack", 2);
  }
  const failed = await createTask(db, template);
  await failStep(db, template, "pack");
  await cancelTask(db, await createTask(db, template), operator);

  const before = await performance(db, within(template));
  assert.equal(before.completion_rate, 0.75);
  assert.equal(before.error_rate, 0.25);
  assert.equal(before.cancelled_tasks, 1);

  await resolveTask(db, failed, operator);
  const answer = await performance(db, within(template));
  assert.equal(answer.resolved_tasks, 1);
  assert.equal(answer.failed_tasks, 1, "the failure stays where it happened");
  assert.equal(answer.error_rate, 0.25);
  assert.equal(answer.total_tasks, 5);
  assert.equal(answer.active_tasks, 0);
});

test("the duration of a task is from its creation to its end, over completed tasks only", async () => {
  const template = await ownTemplate(db, { pack: [] });
  for (const seconds of [10, 20, 60]) {
    await createTask(db, template);
    await runStep(db, template, "pack", seconds);
  }
  await createTask(db, template);
  await failStep(db, template, "pack", { seconds: 1000 });

  const answer = await performance(db, within(template));
  assert.equal(answer.average_task_duration_seconds, 30);
  assert.equal(answer.task_duration.max_seconds, 60);
  assert.equal(answer.task_duration.sample_size, 3);
  const [task] = (await bottlenecks(db, within(template))).slow_tasks;
  assert.equal(task?.average_duration_seconds, 30);
  assert.equal(task?.execution_count, 4);
  assert.equal(task?.error_rate, 0.25);
  assert.equal(task?.total_time_seconds, 1090);
});

test("a task that failed and was reopened counts as failed and later as completed, each where it happened", async () => {
  const template = await ownTemplate(db, { pack: [] });
  const task = await createTask(db, template);
  await failStep(db, template, "pack", { seconds: 100 });
  await moveClock(db, 2 * hour);
  await resetStep(db, await findStep(db, task, "pack"), operator);
  await runStep(db, template, "pack", 7);

  const lately = await performance(db, { ...within(template), hours: 1 });
  assert.equal(lately.completed_tasks, 1);
  assert.equal(lately.failed_tasks, 0);
  assert.equal(lately.average_task_duration_seconds, 7, "its life began at the reset");
  assert.equal(lately.reopened_count, 1);
  const all = await performance(db, within(template));
  assert.equal(all.completed_tasks, 1);
  assert.equal(all.failed_tasks, 1);
  assert.equal(all.total_tasks, 1);
});

test("a task whose failed step is resolved completes, and the resolution is no execution", async () => {
  const template = await ownTemplate(db, { card: [], send: ["card"] });
  const task = await createTask(db, template);
  await failStep(db, template, "card");
  await resolveStep(db, await findStep(db, task, "card"), operator, null);
  await runStep(db, template, "send", 4);

  const answer = await performance(db, within(template));
  assert.equal(answer.completed_tasks, 1);
  assert.equal(answer.failed_tasks, 1);
  assert.equal(answer.step_execution_count, 2);
  assert.equal(answer.step_error_count, 1);
  const { steps } = (await bottlenecks(db, within(template))).resource_utilization.system_health;
  assert.equal(steps.resolved_manually, 1);
  assert.equal(steps.complete, 1);
  assert.equal(steps.error, 0);
});

test("tasks and steps by state sum to the totals, and every state is named", async () => {
  const template = await ownTemplate(db, { card: [], send: ["card"] });
  await createTask(db, template);
  await failStep(db, template, "card");
  await createTask(db, template);
  await failStep(db, template, "card", { retryAfterSeconds: 60 });
  await createTask(db, template);
  const [running] = await claim(db, template, { limit: 1 });
  assert.ok(running);
  await createTask(db, template);

  const { system_health } = (await bottlenecks(db, within(template))).resource_utilization;
  assert.deepEqual(system_health, {
    total_tasks: 4,
    tasks: { pending: 1, in_progress: 2, complete: 0, error: 1, cancelled: 0, resolved_manually: 0 },
    total_steps: 8,
    steps: {
      pending: 3,
      enqueued: 1,
      in_progress: 1,
      waiting_for_retry: 1,
      complete: 0,
      error: 1,
      cancelled: 0,
      resolved_manually: 0,
      skipped: 0,
      blocked: 1,
    },
  });
});

test("throughput is over the window, or from the first accepted task on when that is later", async () => {
  const template = await ownTemplate(db, { card: [], send: ["card"] });
  await createTask(db, template);
  await moveClock(db, 2 * hour);
  await runStep(db, template, "card");
  await runStep(db, template, "send");
  const young = await performance(db, within(template));
  close(young.tasks_per_hour, 1 / 2);
  close(young.steps_per_hour, 2 / 2);

  await moveClock(db, 47 * hour);
  const old = await performance(db, { ...within(template), hours: 48 });
  const statedHours = (Date.parse(old.analysis_period_end) - Date.parse(old.analysis_period_start)) / hour / 1000;
  assert.ok(statedHours > 48 && statedHours < 48.02, "the window is aligned down to the minute");
  close(old.tasks_per_hour, 1 / statedHours);
  close(old.steps_per_hour, 2 / statedHours);
});

test("a window shorter than a minute of work counts as a minute", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await createTask(db, template);
  await moveClock(db, 29);
  await runStep(db, template, "pack", 1);
  const answer = await performance(db, within(template));
  close(answer.tasks_per_hour, 60);
  close(answer.steps_per_hour, 60);
  close((await performance(db, { ...within(template), hours: 0 })).tasks_per_hour, 60);
});

test("all endings of tasks count for the throughput", async () => {
  const template = await ownTemplate(db, { pack: [] });
  const [cancelled] = [await createTask(db, template), await createTask(db, template), await createTask(db, template)];
  await cancelTask(db, cancelled, operator);
  const [done, broken] = await claim(db, template);
  assert.ok(done !== undefined && broken !== undefined);
  await settle(db, success(done), failure(broken));
  await moveClock(db, hour);
  const answer = await performance(db, within(template));
  close(answer.tasks_per_hour, 3);
  close(answer.steps_per_hour, 2);
});
