import assert from "node:assert/strict";
import { test } from "node:test";

import { stepLines } from "../../src/cli/step-lines.ts";
import type { StepDetail, StepTrendPoint } from "../../src/http/api-types.ts";

const nothingYet = { sample_size: 0, p50_seconds: null, p95_seconds: null, p99_seconds: null, max_seconds: null };
const noLife = { dependency_wait_seconds: null, queue_wait_seconds: null, retry_seconds: null, run_seconds: null };

const point: StepTrendPoint = {
  bucket_start: "2026-01-01T10:00:00.000000Z",
  bucket_end: "2026-01-01T11:00:00.000000Z",
  is_complete: true,
  step_execution_count: 20,
  step_error_count: 1,
  step_error_rate: 0.05,
  attempt_count: 20,
  failed_attempt_count: 1,
  reopened_count: 0,
  average_step_duration_seconds: 1,
  step_duration: { ...nothingYet, p50_seconds: 1, p95_seconds: 2 },
  step_life: noLife,
};

const idle: StepDetail = {
  analysis_period_start: "2026-01-01T00:00:00.000000Z",
  analysis_period_end: "2026-01-02T00:00:00.000000Z",
  calculated_at: "2026-01-02T00:00:00.000000Z",
  data_through: "2026-01-02T00:00:00.000000Z",
  filters: { namespace: "shop", task_name: "order", version: "1.0.0", step_name: "ship" },
  average_duration_seconds: null,
  average_failed_duration_seconds: null,
  duration: nothingYet,
  execution_count: 0,
  completed_count: 0,
  error_count: 0,
  error_rate: null,
  last_executed_at: null,
  attempt_count: 0,
  failed_attempt_count: 0,
  reopened_count: 0,
  cancelled_count: 0,
  skipped_count: 0,
  blocked_count: 0,
  resolved_count: 0,
  running_count: 0,
  oldest_running_seconds: null,
  total_time_seconds: 0,
  share_of_template_time: null,
  life: noLife,
  histogram: [],
  trend: { bucket: "hour", points: [] },
  examples: [],
  percentile_relative_error: 0.01,
};

test("a step that did nothing is shown with dashes", () => {
  const lines = stepLines(idle);
  assert.ok(lines.includes("runs    0, - failed, 0 attempts, 0 running now"));
  assert.ok(lines.includes("  none completed"));
  assert.ok(lines.includes("  none: their facts are gone, or nothing completed"));
});

test("a step's distribution is drawn in a dozen lines at most, all runs in them", () => {
  const histogram = Array.from({ length: 30 }, (_, i) => ({
    from_seconds: i,
    to_seconds: i + 1,
    count: i < 10 ? 10 : 1,
  }));
  const examples = [{ task_id: "t-1", ended_at: "2026-01-01T10:30:00.000000Z", duration_seconds: 28 }];
  const lines = stepLines({ ...idle, histogram, examples, trend: { bucket: "hour", points: [point] } });
  const bars = lines.filter((line) => line.startsWith("  <= "));
  assert.equal(bars.length, 10);
  assert.equal(
    bars.reduce((sum, line) => sum + Number(/(\d+) {2}#/u.exec(line)?.[1]), 0),
    120,
  );
  assert.equal(bars[0], `  <= 3 s     30  ${"#".repeat(40)}`);
  assert.equal(bars.at(-1), "  <= 30 s     3  ####");
  assert.ok(lines.includes("  2026-01-01 10:00    20     5 %  1 s  2 s"));
  assert.equal(lines.at(-1), "  t-1  28 s");
});
