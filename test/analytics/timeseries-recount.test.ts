import assert from "node:assert/strict";
import { after, test } from "node:test";

import fc from "fast-check";

import type { TimeseriesPoint } from "../../src/analytics/timeseries.ts";
import { type FixedBucket, timeseriesHoursMax } from "../../src/analytics/timeseries-parameters.ts";
import { testDatabase } from "../support/database.ts";
import { fold, foldAll, setClock, stopClock } from "../support/engine.ts";
import { randomCases } from "../support/random.ts";
import { write } from "./fact-writer.ts";
import { type Fact, type Microseconds, timestamp, windowStart } from "./recount.ts";
import { analyticsOf, close } from "./support.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

function sumOf(points: readonly TimeseriesPoint[], field: (point: TimeseriesPoint) => number): number {
  return points.reduce((total, point) => total + field(point), 0);
}

const minuteUs = 60e6;
const lengthUs: Readonly<Record<FixedBucket, number>> = {
  minute: minuteUs,
  "5m": 5 * minuteUs,
  hour: 60 * minuteUs,
  day: 1440 * minuteUs,
};

/** Identities 101 and 102 are templates, the others steps of theirs. */
const identities = [
  [101, "one", null],
  [102, "two", null],
  [103, "one", "a"],
  [104, "one", "b"],
  [105, "two", "a"],
] as const;

const outcomes = ["complete", "complete", "error", "cancelled", "resolved_manually"] as const;

const randomFact = fc.record({
  identity: fc.constantFrom(...identities.map(([id]) => id)),
  agoUs: fc.oneof(fc.nat(3600e6), fc.nat(5 * 24 * 3600e6)),
  toUs: fc.constantFrom(1, minuteUs, 5 * minuteUs, 3600e6, 24 * 3600e6),
  outcome: fc.constantFrom(...outcomes),
  reopened: fc.boolean(),
  durationUs: fc.oneof(fc.constantFrom(0, 1), fc.nat(7_200_000_000)),
  partUs: fc.nat(1_000_000),
  attempts: fc.nat(4),
});

const window = fc.constantFrom<FixedBucket>("minute", "5m", "hour", "day").chain((bucket) =>
  fc.record({
    bucket: fc.constant(bucket),
    hours: fc.integer({ min: 1, max: Math.min(130, timeseriesHoursMax(bucket)) }),
  }),
);

/** What a bucket must show of these facts, counted one by one. */
function expected(facts: readonly Fact[]): unknown[] {
  const of = (subject: Fact["subject"], ...ends: readonly Fact["outcome"][]): Fact[] =>
    facts.filter((fact) => fact.subject === subject && ends.includes(fact.outcome));
  const tasks = of("task", "complete");
  const steps = of("step", "complete");
  const executions = of("step", "complete", "error");
  const seconds = (of_: readonly Fact[], field: "durationUs" | "queueWaitUs"): number | null =>
    of_.length === 0 ? null : of_.reduce((sum, fact) => sum + fact[field], 0) / of_.length / 1e6;
  const max = (of_: readonly Fact[]): number | null =>
    of_.length === 0 ? null : Math.max(...of_.map((fact) => fact.durationUs)) / 1e6;
  return [
    [tasks.length, of("task", "error").length, of("task", "cancelled").length, of("task", "resolved_manually").length],
    [executions.length, of("step", "error").length, executions.reduce((sum, fact) => sum + fact.attempts, 0)],
    executions.filter((fact) => fact.reopened).length,
    [seconds(tasks, "durationUs"), seconds(steps, "durationUs"), seconds(steps, "queueWaitUs")].map(rounded),
    [max(tasks), max(steps)].map(rounded),
    [tasks.length, steps.length],
  ];
}

function shown(point: TimeseriesPoint): unknown[] {
  return [
    [point.completed_tasks, point.failed_tasks, point.cancelled_tasks, point.resolved_tasks],
    [point.step_execution_count, point.step_error_count, point.attempt_count],
    point.reopened_count,
    [point.average_task_duration_seconds, point.average_step_duration_seconds, point.step_life.queue_wait_seconds].map(
      rounded,
    ),
    [point.task_duration.max_seconds, point.step_duration.max_seconds].map(rounded),
    [point.task_duration.sample_size, point.step_duration.sample_size],
  ];
}

function rounded(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(10));
}

test("each bucket is a recount of its facts, and the buckets' sums are the window's figures", async () => {
  await db.query({
    text: `insert into tasker.analytics_identities (id, namespace_name, task_name, version, step_name) overriding system value
      select (i ->> 0)::integer, 'counted', i ->> 1, '1.0.0', i ->> 2 from jsonb_array_elements($1::jsonb) i`,
    values: [JSON.stringify(identities)],
  });
  const base = Date.UTC(2026, 5, 10) * 1000;
  const emptied = ["step_facts", "task_facts", "rollups", "rollup_histograms", "overall_histograms"];
  const checkOne = async (facts: readonly Fact[], now: Microseconds, hours: number, bucket: FixedBucket) => {
    const { points } = (await analyticsOf(db).timeseries({ hours, bucket, namespace: "counted" })).answer;
    const from = windowStart(hours, now) ?? 0;
    const length = lengthUs[bucket];
    const starts = Array.from(
      { length: Math.floor(now / length) - Math.floor(from / length) + 1 },
      (_, i) => (Math.floor(from / length) + i) * length,
    );
    assert.deepEqual(
      points.map((point) => point.bucket_start),
      starts.map(timestamp),
    );
    for (const [index, start] of starts.entries()) {
      const own = facts.filter(({ endedAt }) => endedAt >= from && endedAt >= start && endedAt < start + length);
      const point = points[index];
      assert.ok(point);
      assert.deepEqual(shown(point), expected(own), `${bucket} of ${timestamp(start)}`);
    }
    const whole = (await analyticsOf(db).performance({ hours, namespace: "counted" })).answer;
    assert.deepEqual(
      [
        sumOf(points, (point) => point.completed_tasks),
        sumOf(points, (point) => point.failed_tasks),
        sumOf(points, (point) => point.step_execution_count),
        sumOf(points, (point) => point.step_error_count),
        sumOf(points, (point) => point.attempt_count),
        sumOf(points, (point) => point.failed_attempt_count),
        sumOf(points, (point) => point.task_duration.sample_size),
      ],
      [
        whole.completed_tasks,
        whole.failed_tasks,
        whole.step_execution_count,
        whole.step_error_count,
        whole.attempt_count,
        whole.failed_attempt_count,
        whole.task_duration.sample_size,
      ],
    );
    const weighted = sumOf(points, (p) => (p.average_step_duration_seconds ?? 0) * p.step_duration.sample_size);
    close(weighted, (whole.average_step_duration_seconds ?? 0) * whole.step_duration.sample_size);
  };
  await fc.assert(
    fc.asyncProperty(
      fc.nat(24 * 3600e6),
      fc.array(fc.array(randomFact, { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 3 }),
      fc.array(window, { minLength: 1, maxLength: 2 }),
      async (nowUs, batches, windows) => {
        await db.query({ text: emptied.map((table) => `delete from tasker.${table}`).join(";") });
        const now = base + nowUs;
        await setClock(db, timestamp(now));
        const facts: Fact[] = [];
        for (const batch of batches) {
          // All but the last batch are folded when it is asked.
          await fold(db);
          const written = batch.map(({ agoUs, toUs, partUs, ...fact }): Fact => {
            const isTask = fact.identity <= 102;
            return {
              ...fact,
              subject: isTask ? "task" : "step",
              endedAt: Math.floor((now - agoUs) / toUs) * toUs,
              dependencyWaitUs: partUs,
              queueWaitUs: partUs * 2,
              retryUs: partUs,
              failedAttempts: Math.max(0, fact.attempts - 1),
              stepCount: 2,
              failedStepCount: 0,
            };
          });
          await db.transaction((sql) => write(sql, { facts: written, deltas: [] }));
          facts.push(...written);
        }
        for (const { hours, bucket } of windows) await checkOne(facts, now, hours, bucket);
        await foldAll(db);
        for (const { hours, bucket } of windows) await checkOne(facts, now, hours, bucket);
      },
    ),
    randomCases(200),
  );
});
