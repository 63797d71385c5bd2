import assert from "node:assert/strict";
import { after, test } from "node:test";

import { releaseLeases } from "../../src/engine/claim.ts";
import { cancelTask, resetStep, resolveStep } from "../../src/engine/operate.ts";
import { testDatabase } from "../support/database.ts";
import {
  claimStep,
  createTask,
  databaseTime,
  failStep,
  findStep,
  moveClock,
  onlyRow,
  runStep,
  settle,
  stopClock,
  success,
} from "../support/engine.ts";
import { bottlenecks, checkLife, close, figuresOf, ownTemplate, performance, within } from "./support.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

const operator = { actor: "test", reason: "because" };
const hour = 3600;

test("a step that waited an hour for its parent and ran a second took a second", async () => {
  const template = await ownTemplate(db, { pack: [], send: ["pack"] });
  await createTask(db, template);
  await runStep(db, template, "pack", hour);
  await runStep(db, template, "send", 1);

  const send = figuresOf(await bottlenecks(db, within(template)), "send");
  assert.equal(send.average_duration_seconds, 1);
  assert.equal(send.max_duration_seconds, 1);
  checkLife(send.life, [hour, 0, 0, 1]);
  const pack = figuresOf(await bottlenecks(db, within(template)), "pack");
  checkLife(pack.life, [0, 0, 0, hour]);
  assert.equal(pack.share_of_template_time, hour / (hour + 1));
});

test("the time before a worker came is queue wait, and so is what the worker took beside the handler", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await createTask(db, template);
  await moveClock(db, 40);
  const held = await claimStep(db, template, "pack");
  await moveClock(db, 10);
  await settle(db, success(held, null, 8));

  const { step_life, average_step_duration_seconds } = await performance(db, within(template));
  checkLife(step_life, [0, 42, 0, 8]);
  assert.equal(average_step_duration_seconds, 8);
});

test("a step that fails twice and then succeeds is one good execution with three attempts", async () => {
  const template = await ownTemplate(db, { pack: [] }, { retry: { maxAttempts: 3 } });
  await createTask(db, template);
  await failStep(db, template, "pack", { seconds: 10, retryAfterSeconds: 5 });
  await moveClock(db, 5);
  await failStep(db, template, "pack", { seconds: 20, retryAfterSeconds: 7 });
  await moveClock(db, 7);
  await moveClock(db, 3);
  await runStep(db, template, "pack", 2);

  const pack = figuresOf(await bottlenecks(db, within(template)), "pack");
  assert.deepEqual([pack.execution_count, pack.completed_count, pack.error_count, pack.error_rate], [1, 1, 0, 0]);
  assert.deepEqual([pack.attempt_count, pack.failed_attempt_count], [3, 2]);
  checkLife(pack.life, [0, 0, 45, 2]);
  const answer = await performance(db, within(template));
  assert.deepEqual([answer.attempt_count, answer.failed_attempt_count], [3, 2]);
  assert.equal(answer.completed_tasks, 1);
});

test("the parts of a life sum to it, whatever happened in it", async () => {
  const template = await ownTemplate(db, { pack: [], send: ["pack"] }, { retry: { maxAttempts: 3 } });
  const task = await createTask(db, template);
  await moveClock(db, 11.000_001);
  await runStep(db, template, "pack", 3.5);
  await moveClock(db, 0.25);
  await failStep(db, template, "send", { seconds: 1, retryAfterSeconds: 60 });
  await moveClock(db, 90);
  const held = await claimStep(db, template, "send");
  await moveClock(db, 9);
  await settle(db, success(held, null, 6));
  const facts = await db.query<{ life: number; parts: number; rest: number }>({
    text: `select f.dependency_wait_us + f.queue_wait_us + f.retry_us + f.run_us as parts, f.queue_wait_us as rest,
        tasker.microseconds(s.finished_at - s.life_started_at) as life
      from tasker.step_facts f join tasker.workflow_steps s on s.task_id = f.task_id and s.named_step_id = f.identity_id
      where f.task_id = $1`,
    values: [task],
  });
  assert.deepEqual(
    facts.map(({ life }) => life).toSorted((a, b) => a - b),
    [14_500_001, 114_750_001],
  );
  for (const { life, parts, rest } of facts) {
    assert.equal(parts, life);
    assert.ok(rest >= 0);
  }
  const send = figuresOf(await bottlenecks(db, within(template)), "send");
  checkLife(send.life, [14.500_001, 3.25, 91, 6]);
});

test("a failure counts as an execution; its run time is reported apart from that of completed ones", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await createTask(db, template);
  await runStep(db, template, "pack", 10);
  await createTask(db, template);
  await failStep(db, template, "pack", { seconds: 100 });
  await createTask(db, template);
  await failStep(db, template, "pack", { seconds: 300 });
  const lastAt = await databaseTime(db);

  const pack = figuresOf(await bottlenecks(db, within(template)), "pack");
  assert.deepEqual([pack.execution_count, pack.completed_count, pack.error_count], [3, 1, 2]);
  close(pack.error_rate, 2 / 3);
  assert.equal(pack.average_duration_seconds, 10);
  assert.equal(pack.max_duration_seconds, 10);
  assert.equal(pack.average_failed_duration_seconds, 200);
  assert.equal(pack.total_time_seconds, 410);
  assert.equal(pack.last_executed_at, lastAt);
});

test("a reset after a failure is a new life: both are counted, and the second is marked as reopened", async () => {
  const template = await ownTemplate(db, { pack: [] }, { retry: { maxAttempts: 2 } });
  const task = await createTask(db, template);
  await failStep(db, template, "pack", { seconds: 10, retryAfterSeconds: 0 });
  await failStep(db, template, "pack", { seconds: 10 });
  await moveClock(db, 5 * hour);
  await resetStep(db, await findStep(db, task, "pack"), operator);
  await moveClock(db, 3);
  await runStep(db, template, "pack", 4);

  const pack = figuresOf(await bottlenecks(db, within(template)), "pack");
  assert.deepEqual([pack.execution_count, pack.completed_count, pack.error_count], [2, 1, 1]);
  assert.equal(pack.reopened_count, 1);
  assert.deepEqual([pack.attempt_count, pack.failed_attempt_count], [3, 2]);
  checkLife(pack.life, [0, 3, 0, 4]);
});

test("cancelled, blocked and resolved endings are counted by state, and are no executions", async () => {
  const template = await ownTemplate(db, { card: [], send: ["card"] });
  await createTask(db, template);
  await failStep(db, template, "card");
  await cancelTask(db, await createTask(db, template), operator);
  await resolveStep(db, await findStep(db, await createTask(db, template), "card"), operator, null);
  await runStep(db, template, "send", 3);
  const answer = await bottlenecks(db, within(template));

  const card = figuresOf(answer, "card");
  assert.deepEqual([card.execution_count, card.error_count, card.cancelled_count, card.resolved_count], [1, 1, 1, 1]);
  assert.deepEqual([card.attempt_count, card.blocked_count, card.skipped_count], [1, 0, 0]);
  const send = figuresOf(answer, "send");
  assert.deepEqual([send.execution_count, send.cancelled_count, send.blocked_count], [1, 1, 1]);
  assert.equal(send.average_duration_seconds, 3);
  assert.equal((await performance(db, within(template))).step_execution_count, 2);
});

test("what runs now has no duration yet, and is seen by its number and the age of its oldest", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await createTask(db, template);
  await runStep(db, template, "pack", 1);
  await createTask(db, template);
  await claimStep(db, template, "pack");
  await moveClock(db, 100);
  await createTask(db, template);
  await claimStep(db, template, "pack");
  await moveClock(db, 20);

  const pack = figuresOf(await bottlenecks(db, within(template)), "pack");
  assert.equal(pack.running_count, 2);
  assert.equal(pack.oldest_running_seconds, 120);
  assert.equal(pack.average_duration_seconds, 1);
  const idle = await ownTemplate(db, { pack: [] });
  await createTask(db, idle);
  await runStep(db, idle, "pack", 1);
  const { running_count, oldest_running_seconds } = figuresOf(await bottlenecks(db, within(idle)), "pack");
  assert.deepEqual([running_count, oldest_running_seconds], [0, null]);
});

test("a step that is to start later does not count as waiting until then", async () => {
  const template = await ownTemplate(db, { pack: [] });
  const { runAt } = await onlyRow<{ runAt: string }>(db, `select tasker.clock() + interval '10 minutes' as "runAt"`);
  await createTask(db, template, { runAt });
  await moveClock(db, 600);
  await moveClock(db, 4);
  await runStep(db, template, "pack", 1);

  checkLife((await performance(db, within(template))).step_life, [600, 4, 0, 1]);
});

test("an attempt that was given back is waiting for a worker, and costs no attempt", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await createTask(db, template);
  const held = await claimStep(db, template, "pack");
  await moveClock(db, 30);
  assert.equal(await releaseLeases(db, held.owner, [held]), 1);
  await moveClock(db, 10);
  await runStep(db, template, "pack", 2);

  const pack = figuresOf(await bottlenecks(db, within(template)), "pack");
  assert.deepEqual([pack.attempt_count, pack.failed_attempt_count], [1, 0]);
  checkLife(pack.life, [0, 40, 0, 2]);
});

test("a cancelled attempt has run until its cancellation, one that was only waiting has not run at all", async () => {
  const template = await ownTemplate(db, { pack: [] }, { retry: { maxAttempts: 3 } });
  const running = await createTask(db, template);
  await claimStep(db, template, "pack");
  await moveClock(db, 30);
  await cancelTask(db, running, operator);

  const returned = await createTask(db, template);
  await failStep(db, template, "pack", { seconds: 3, retryAfterSeconds: 0 });
  const held = await claimStep(db, template, "pack");
  await releaseLeases(db, held.owner, [held]);
  await moveClock(db, 50);
  await cancelTask(db, returned, operator);

  const ran = (id: string) =>
    onlyRow<{ run_us: number }>(db, "select run_us from tasker.step_facts where task_id = $1", [id]);
  assert.deepEqual(await ran(running), { run_us: 30_000_000 });
  assert.deepEqual(await ran(returned), { run_us: 0 });
});

test("nobody measured the run of a lost attempt: it lasted as long as it was held", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await createTask(db, template);
  const held = await claimStep(db, template, "pack");
  await moveClock(db, 12);
  await settle(db, success(held, null, null));
  checkLife((await performance(db, within(template))).step_life, [0, 0, 0, 12]);
});

test("a handler cannot have run longer than its attempt was held", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await createTask(db, template);
  const held = await claimStep(db, template, "pack");
  await moveClock(db, 12);
  await settle(db, success(held, null, 5000));
  checkLife((await performance(db, within(template))).step_life, [0, 0, 0, 12]);
});
