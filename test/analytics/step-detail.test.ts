import assert from "node:assert/strict";
import { after, test } from "node:test";

import type { StepDetail } from "../../src/analytics/step-detail.ts";
import { testDatabase } from "../support/database.ts";
import {
  claim,
  create,
  createTask,
  databaseTime,
  failStep,
  foldAll,
  moveClock,
  runStep,
  setClock,
  settle,
  stopClock,
  success,
  type TestTemplate,
} from "../support/engine.ts";
import { analyticsOf, bottlenecks, checkLife, close, figuresOf, ownTemplate, within } from "./support.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

function identityOf(template: TestTemplate, step_name: string) {
  const { namespace, name: task_name, version } = template.spec;
  return { namespace, task_name, version, step_name };
}

/** The step's detail, which must be the same before and after a fold. */
async function detailOf(template: TestTemplate, step_name: string, hours = 24): Promise<StepDetail> {
  const ask = () => analyticsOf(db).step({ ...identityOf(template, step_name), hours });
  const unfolded = await ask();
  await foldAll(db);
  assert.deepEqual(await ask(), unfolded, "folding changed the answer");
  assert.ok(unfolded.answer);
  assert.equal(unfolded.identitiesKnown, true);
  return unfolded.answer;
}

/** Completes one step per duration, all in one batch at one time; returns their tasks in the same order. */
async function completeEach(template: TestTemplate, seconds: readonly number[]): Promise<readonly string[]> {
  const tasks = await create(
    db,
    template,
    seconds.map(() => ({})),
  );
  const held = await claim(db, template, { limit: seconds.length });
  await moveClock(db, Math.max(...seconds));
  const secondsOf = new Map(tasks.map(({ id }, index) => [id, seconds[index] ?? 0]));
  await settle(db, ...held.map((one) => success(one, null, secondsOf.get(one.taskId) ?? 0)));
  return tasks.map(({ id }) => id);
}

test("the distribution holds every completed run, and its buckets are one per cent either way", async () => {
  const template = await ownTemplate(db, { pack: [] });
  const seconds = [...Array.from({ length: 90 }, (_, i) => 1 + i / 100), ...Array.from({ length: 10 }, () => 30)];
  await completeEach(template, seconds);
  await createTask(db, template);
  await failStep(db, template, "pack", { seconds: 7 });
  const detail = await detailOf(template, "pack");
  const inBuckets = detail.histogram.flatMap(({ from_seconds, to_seconds, count }) =>
    Array.from({ length: count }, () => [from_seconds, to_seconds] as const),
  );
  assert.equal(inBuckets.length, seconds.length);
  for (const [index, [from, to]] of inBuckets.entries()) {
    const exact = seconds[index] ?? Number.NaN;
    assert.ok(from < exact && exact <= to, `${exact} lies in (${from}, ${to}]`);
    assert.ok(to / from < 1.0203);
  }
  assert.equal(detail.duration.sample_size, 100);
  assert.ok(Math.abs((detail.duration.p95_seconds ?? 0) - 30) <= 0.3);
  assert.deepEqual([detail.duration.max_seconds, detail.execution_count, detail.error_count], [30, 101, 1]);
  const listed = figuresOf(await bottlenecks(db, within(template)), "pack");
  for (const field of [
    "average_duration_seconds",
    "execution_count",
    "error_rate",
    "average_failed_duration_seconds",
    "attempt_count",
    "total_time_seconds",
    "share_of_template_time",
    "last_executed_at",
  ] as const) {
    assert.equal(detail[field], listed[field], field);
  }
  assert.deepEqual(detail.life, listed.life);
});

test("examples are the tasks nearest to the p95, folded or not, as long as their facts last", async () => {
  await setClock(db, "2026-03-12T09:10:00Z");
  const template = await ownTemplate(db, { pack: [] });
  const seconds = [...Array.from({ length: 18 }, () => 1), 9.7, 10, 10.4, 60];
  const ids = await completeEach(template, seconds);
  // Of 22 the nearest rank of the p95 is the 21st: 10.4 s.
  const { examples, duration } = await detailOf(template, "pack");
  assert.ok(Math.abs((duration.p95_seconds ?? 0) - 10.4) <= 0.104);
  assert.deepEqual(
    examples.map(({ task_id, duration_seconds }) => [ids.indexOf(task_id), duration_seconds]),
    [
      [20, 10.4],
      [19, 10],
      [18, 9.7],
    ],
  );
  assert.ok(examples.every(({ ended_at }) => ended_at.startsWith("2026-03-12T09:11")));
  // Another window, in which nothing ended, has no examples, whatever was before.
  await setClock(db, "2026-03-13T09:10:00Z");
  assert.deepEqual((await detailOf(template, "pack", 1)).examples, []);
  assert.equal((await detailOf(template, "pack", 48)).examples.length, 3);
  await db.query({ text: "delete from tasker.step_facts where ended_at < '2026-03-12T10:00:00Z'" });
  const gone = await detailOf(template, "pack", 49);
  assert.deepEqual([gone.examples, gone.completed_count], [[], 22]);
});

test("the trend has the step's own figures, and sums to them", async () => {
  await setClock(db, "2026-03-14T09:10:00Z");
  const template = await ownTemplate(db, { pack: [], send: [] });
  for (let hour = 0; hour < 3; hour++) {
    await createTask(db, template);
    await runStep(db, template, "pack", 2 + hour);
    await runStep(db, template, "send", 100);
    await moveClock(db, 3600);
  }
  const { trend, execution_count, average_duration_seconds } = await detailOf(template, "pack");
  assert.equal(trend.bucket, "hour");
  assert.equal(trend.points.length, 25);
  const busy = trend.points.filter((point) => point.step_execution_count > 0);
  assert.deepEqual(
    busy.map((point) => point.average_step_duration_seconds),
    [2, 3, 4],
  );
  assert.deepEqual([execution_count, average_duration_seconds], [3, 3]);
});

test("a step that runs and has not ended yet is there", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await createTask(db, template);
  await claim(db, template);
  await moveClock(db, 40);
  const detail = await detailOf(template, "pack");
  assert.deepEqual([detail.running_count, detail.oldest_running_seconds, detail.execution_count], [1, 40, 0]);
  assert.deepEqual([detail.histogram, detail.examples, detail.average_duration_seconds], [[], [], null]);
  assert.equal(detail.duration.p95_seconds, null);
});

test("the parts of its life are told apart", async () => {
  const template = await ownTemplate(db, { pack: [], send: ["pack"] }, { retry: { maxAttempts: 3 } });
  await createTask(db, template);
  await runStep(db, template, "pack", 5);
  await moveClock(db, 11);
  await failStep(db, template, "send", { seconds: 1, retryAfterSeconds: 20 });
  await moveClock(db, 20);
  await runStep(db, template, "send", 3);
  const detail = await detailOf(template, "send");
  checkLife(detail.life, [5, 11, 21, 3]);
  close(detail.average_duration_seconds, 3);
  assert.deepEqual([detail.attempt_count, detail.failed_attempt_count], [2, 1]);
  const { namespace, name: task_name, version } = template.spec;
  assert.deepEqual(detail.filters, { namespace, task_name, version, step_name: "send" });
  assert.equal(detail.analysis_period_end, await databaseTime(db));
});

test("there is no answer about a step, or a template, that nobody registered", async () => {
  const template = await ownTemplate(db, { pack: [] });
  const step = identityOf(template, "pack");
  const unknown = [{ step_name: "nothing" }, { version: "9.9.9" }, { task_name: "nothing" }, { namespace: "nobody" }];
  for (const other of unknown) {
    const { answer, identitiesKnown } = await analyticsOf(db).step({ ...step, ...other, hours: 24 });
    assert.deepEqual([answer, identitiesKnown], [null, false]);
  }
});
