import assert from "node:assert/strict";
import { after, test } from "node:test";

import type { Timeseries, TimeseriesPoint, TimeseriesQuestion } from "../../src/analytics/timeseries.ts";
import {
  checkTimeseries,
  chosenBucket,
  timeseriesBuckets,
  timeseriesHoursMax,
  timeseriesPointsMax,
} from "../../src/analytics/timeseries-parameters.ts";
import { testDatabase } from "../support/database.ts";
import { createTask, failStep, foldAll, moveClock, runStep, setClock, stopClock } from "../support/engine.ts";
import { analyticsOf, ownTemplate, within } from "./support.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

async function series(question: Partial<TimeseriesQuestion>): Promise<Timeseries> {
  const ask = async (): Promise<Timeseries> =>
    (await analyticsOf(db).timeseries({ hours: 24, bucket: "hour", ...question })).answer;
  const unfolded = await ask();
  await foldAll(db);
  assert.deepEqual(await ask(), unfolded, "folding changed the answer");
  return unfolded;
}

function sumOf(points: readonly TimeseriesPoint[], field: (point: TimeseriesPoint) => number): number {
  return points.reduce((total, point) => total + field(point), 0);
}

test("every bucket of the window is there, aligned in UTC, also those in which nothing ended", async () => {
  await setClock(db, "2026-05-10T12:34:56Z");
  const template = await ownTemplate(db, { pack: [] });
  await createTask(db, template);
  await runStep(db, template, "pack", 2);
  await setClock(db, "2026-05-10T14:10:00Z");
  const { points, analysis_period_start } = await series({ ...within(template), hours: 3 });
  assert.equal(analysis_period_start, "2026-05-10T11:10:00.000000Z");
  assert.deepEqual(
    points.map(({ bucket_start, bucket_end, is_complete, completed_tasks }) => [
      bucket_start.slice(11, 19),
      bucket_end.slice(11, 19),
      is_complete,
      completed_tasks,
    ]),
    [
      ["11:00:00", "12:00:00", false, 0],
      ["12:00:00", "13:00:00", true, 1],
      ["13:00:00", "14:00:00", true, 0],
      ["14:00:00", "15:00:00", false, 0],
    ],
  );
  const [empty, full] = points;
  assert.deepEqual(empty, {
    bucket_start: "2026-05-10T11:00:00.000000Z",
    bucket_end: "2026-05-10T12:00:00.000000Z",
    is_complete: false,
    completed_tasks: 0,
    failed_tasks: 0,
    cancelled_tasks: 0,
    resolved_tasks: 0,
    completion_rate: null,
    error_rate: null,
    average_task_duration_seconds: null,
    task_duration: { sample_size: 0, p50_seconds: null, p95_seconds: null, p99_seconds: null, max_seconds: null },
    step_execution_count: 0,
    step_error_count: 0,
    step_error_rate: null,
    attempt_count: 0,
    failed_attempt_count: 0,
    reopened_count: 0,
    average_step_duration_seconds: null,
    step_duration: { sample_size: 0, p50_seconds: null, p95_seconds: null, p99_seconds: null, max_seconds: null },
    step_life: { dependency_wait_seconds: null, queue_wait_seconds: null, retry_seconds: null, run_seconds: null },
  });
  assert.equal(full?.completion_rate, 1);
  assert.equal(full.average_step_duration_seconds, 2);
  assert.equal(full.step_duration.max_seconds, 2);
  assert.equal(full.step_duration.sample_size, 1);
  assert.ok(Math.abs((full.step_duration.p95_seconds ?? 0) - 2) <= 0.02);
});

test("a step's name restricts the figures of steps and leaves those of tasks", async () => {
  await setClock(db, "2026-05-11T12:00:00Z");
  const template = await ownTemplate(db, { pack: [], send: [] });
  await createTask(db, template);
  await runStep(db, template, "pack", 2);
  await failStep(db, template, "send", { seconds: 5 });
  const of = async (step_name?: string) => {
    const { points, filters } = await series({ ...within(template), step_name, hours: 1 });
    assert.equal(filters.step_name, step_name);
    return [
      sumOf(points, (point) => point.failed_tasks),
      sumOf(points, (point) => point.step_execution_count),
      sumOf(points, (point) => point.step_error_count),
    ];
  };
  assert.deepEqual(await of(), [1, 2, 1]);
  assert.deepEqual(await of("pack"), [1, 1, 0]);
  assert.deepEqual(await of("send"), [1, 1, 1]);
  const service = analyticsOf(db);
  const known = async (step_name: string) =>
    (await service.timeseries({ hours: 1, bucket: "hour", ...within(template), step_name })).identitiesKnown;
  assert.equal(await known("pack"), true);
  assert.equal(await known("nothing"), false);
});

test("what ended after the answer's time began to be asked for is in the last bucket", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await setClock(db, "2026-05-12T13:00:00Z");
  await createTask(db, template);
  await runStep(db, template, "pack");
  await moveClock(db, -1);
  const { points } = await series({ ...within(template), hours: 1 });
  assert.deepEqual(
    points.map((point) => [point.bucket_start.slice(11, 16), point.completed_tasks]),
    [
      ["11:00", 0],
      ["12:00", 1],
    ],
  );
});

test("the functions refuse what they cannot answer, and count hours back to a time", async () => {
  const refused = async (call: string) =>
    assert.rejects(db.query({ text: `select * from ${call}` }), { code: "22023" });
  await refused("tasker.get_analytics_timeseries(p_bucket => 'week')");
  await refused("tasker.get_analytics_timeseries(p_hours => 0)");
  const hours = await db.query<{ hours: number }>({
    text: `select tasker.hours_since(tasker.clock() - s * interval '1 second') as hours
      from unnest(array[-5, 0, 3600, 3601, 86400, 1000000000]) with ordinality u(s, n) order by n`,
  });
  assert.deepEqual(
    hours.map((row) => row.hours),
    [1, 1, 1, 2, 24, 8760],
  );
});

test("a series has at most 500 points, and who asks for more is told the range", async () => {
  await setClock(db, "2026-05-12T13:59:59.999999Z");
  for (const bucket of ["minute", "5m", "hour", "day"] as const) {
    const hours = timeseriesHoursMax(bucket);
    checkTimeseries({ hours, bucket });
    const { points } = (await analyticsOf(db).timeseries({ hours, bucket })).answer;
    assert.ok(points.length <= timeseriesPointsMax, `${points.length} points of a ${bucket}`);
  }
  for (let hours = 1; hours <= 8760; hours++) checkTimeseries({ hours, bucket: "auto" });
  const wrong = [
    [
      { hours: 24, bucket: "minute" },
      "hours must be a whole number from 1 to 8 with bucket=minute, got 24: a series has at most 500 points",
    ],
    [
      { hours: 500, bucket: "hour" },
      "hours must be a whole number from 1 to 499 with bucket=hour, got 500: a series has at most 500 points",
    ],
    [{ hours: 0, bucket: "day" }, "hours must be a whole number from 1 to 8760, got 0"],
  ] as const;
  for (const [parameters, message] of wrong) {
    assert.throws(() => checkTimeseries(parameters), { code: "invalid_parameter", message });
  }
  assert.deepEqual(
    [1, 3, 4, 12, 13, 240, 241].map((hours) => chosenBucket({ hours, bucket: "auto" })),
    ["minute", "minute", "5m", "5m", "hour", "hour", "day"],
  );
  const chosen = await db.query<{ hours: number; bucket: string }>({
    text: "select h as hours, tasker.chosen_bucket('auto', h) as bucket from generate_series(1, 8760) h",
  });
  for (const { hours, bucket } of chosen) assert.equal(bucket, chosenBucket({ hours, bucket: "auto" }), `${hours} h`);
  assert.deepEqual(timeseriesBuckets.slice(1), Object.keys({ minute: 0, "5m": 0, hour: 0, day: 0 }));
});
