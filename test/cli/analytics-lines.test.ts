import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { scopeOf } from "../../src/cli/analytics-options.ts";
import { backlogLines } from "../../src/cli/backlog-lines.ts";
import { bottleneckLines } from "../../src/cli/bottleneck-lines.ts";
import { performanceLines } from "../../src/cli/performance-lines.ts";
import { timeseriesLines } from "../../src/cli/timeseries-lines.ts";
import type {
  BottleneckAnalysis,
  PerformanceMetrics,
  SlowStep,
  SlowTask,
  TimeseriesPoint,
} from "../../src/http/api-types.ts";

const frame = {
  analysis_period_start: "2026-01-01T00:00:00.000000Z",
  analysis_period_end: "2026-01-02T00:00:00.000000Z",
  calculated_at: "2026-01-02T00:00:00.000000Z",
  data_through: "2026-01-02T00:00:00.000000Z",
  filters: {},
} as const;

const noSample = { sample_size: 0, p50_seconds: null, p95_seconds: null, p99_seconds: null, max_seconds: null };
const noLife = { dependency_wait_seconds: null, queue_wait_seconds: null, retry_seconds: null, run_seconds: null };
const noScore = { score: null, explanation: "" };

/** Of a system in which nothing has happened. */
const nothingYet: PerformanceMetrics = {
  ...frame,
  total_tasks: 0,
  active_tasks: 0,
  completed_tasks: 0,
  failed_tasks: 0,
  cancelled_tasks: 0,
  resolved_tasks: 0,
  completion_rate: null,
  error_rate: null,
  average_task_duration_seconds: null,
  average_step_duration_seconds: null,
  task_duration: noSample,
  step_duration: noSample,
  step_life: noLife,
  percentile_relative_error: 0.01,
  step_execution_count: 0,
  step_error_count: 0,
  attempt_count: 0,
  failed_attempt_count: 0,
  reopened_count: 0,
  tasks_per_hour: 0,
  steps_per_hour: 0,
  system_health_score: null,
  health_factors: { success: noScore, liveness: noScore, backlog: noScore },
};

const figures = {
  namespace_name: "shop",
  task_name: "order",
  version: "1.0.0",
  average_duration_seconds: 1.5,
  max_duration_seconds: 70,
  p50_duration_seconds: 1,
  p95_duration_seconds: 4,
  p99_duration_seconds: 9,
  execution_count: 1200,
  completed_count: 900,
  error_count: 300,
  error_rate: 0.25,
  last_executed_at: null,
  cancelled_count: 0,
  resolved_count: 0,
  total_time_seconds: 1800,
};

const slowTask: SlowTask = { ...figures, average_step_count: 4, failed_step_count: 300 };

const slowStep: SlowStep = {
  ...figures,
  step_name: "ship",
  life: { ...noLife, queue_wait_seconds: 0.02, retry_seconds: 0 },
  average_failed_duration_seconds: null,
  attempt_count: 1200,
  failed_attempt_count: 300,
  reopened_count: 0,
  skipped_count: 0,
  blocked_count: 0,
  running_count: 0,
  oldest_running_seconds: null,
  share_of_template_time: 1,
  critical_path_share: null,
};

function analysis(
  slow_steps: readonly SlowStep[],
  slow_tasks: readonly SlowTask[],
  advice: string[],
): BottleneckAnalysis {
  const tasks = { pending: 1, in_progress: 2, complete: 3, error: 4, cancelled: 0, resolved_manually: 0 };
  const steps = {
    pending: 0,
    enqueued: 0,
    in_progress: 0,
    waiting_for_retry: 0,
    complete: 0,
    error: 0,
    cancelled: 0,
    resolved_manually: 0,
    skipped: 0,
    blocked: 0,
  };
  return {
    ...frame,
    slow_steps,
    slow_tasks,
    resource_utilization: {
      database_pool_utilization: 0.3,
      system_health: { total_tasks: 10, tasks, total_steps: 0, steps },
    },
    recommendations: advice,
    findings: [],
    percentile_relative_error: 0.01,
    limit: 10,
    min_executions: 5,
    sort: "p95_duration",
  };
}

describe("the analytics for people", () => {
  test("show a dash where nothing is behind a number", () => {
    const lines = performanceLines(nothingYet);
    assert.ok(lines.includes("tasks       0 in all, 0 active now"));
    assert.ok(lines.includes("rates       - complete, - failed"));
    assert.ok(lines.includes("health      - of 1 (success -, liveness -, backlog -)"));
    assert.ok(lines.includes("task            0     -    -    -    -    -"));
  });

  test("say that there are no bottlenecks to show", () => {
    const lines = bottleneckLines(analysis([], [], []));
    assert.equal(lines.filter((line) => line === "  none ran 5 times or more").length, 2);
    assert.deepEqual(lines.slice(-2), ["Recommendations", "  none"]);
  });

  test("show steps, tasks, what has not ended, and what to do", () => {
    assert.deepEqual(bottleneckLines(analysis([slowStep], [slowTask], ["Look at ship."])), [
      "",
      "Steps, by p95 duration",
      "  step  of                 runs   mean  p50  p95   max  failed  queued  retrying",
      "  ship  shop/order 1.0.0  1,200  1.5 s  1 s  4 s  70 s    25 %   20 ms      0 ms",
      "",
      "Tasks, by p95 duration",
      "  task               runs   mean  p50  p95   max  failed",
      "  shop/order 1.0.0  1,200  1.5 s  1 s  4 s  70 s    25 %",
      "",
      "Now: 3 of 10 tasks have not ended; 30 % of the server's database pool is in use",
      "",
      "Recommendations",
      "  - Look at ship.",
    ]);
  });

  test("say what an answer is about and how old it is", () => {
    const answer = { body: { filters: { namespace: "shop", version: "1.0.0" } }, text: "", age: 12, etag: undefined };
    const hit = { ...answer, cacheStatus: "tasker; hit; ttl=48" };
    const miss = { ...answer, body: frame, cacheStatus: "tasker; fwd=uri-miss; stored; ttl=59" };
    assert.equal(scopeOf(hit, 1), "the last 1 h, shop 1.0.0 (as of 12 s ago, from the cache)");
    assert.equal(scopeOf(miss), "the last 24 h, all templates (computed just now)");
    assert.equal(scopeOf(miss, 0), "all history, all templates (computed just now)");
  });

  test("show a line for each bucket, marking those in part", () => {
    const point: TimeseriesPoint = {
      ...nothingYet,
      bucket_start: "2026-01-01T10:00:00.000000Z",
      bucket_end: "2026-01-01T11:00:00.000000Z",
      is_complete: false,
      step_error_rate: null,
    };
    const busy: TimeseriesPoint = {
      ...point,
      bucket_start: "2026-01-01T11:00:00.000000Z",
      is_complete: true,
      completed_tasks: 3,
      failed_tasks: 1,
      error_rate: 0.25,
      task_duration: { ...noSample, p50_seconds: 1.5, p95_seconds: 70 },
      step_execution_count: 1200,
    };
    const series = { ...frame, bucket: "hour", percentile_relative_error: 0.01, points: [point, busy] } as const;
    assert.deepEqual(timeseriesLines(series), [
      "",
      "from                tasks  failed    p50   p95  steps  failed  p50  p95",
      "2026-01-01 10:00 ~      0       -      -     -      0       -    -    -",
      "2026-01-01 11:00        4    25 %  1.5 s  70 s  1,200       -    -    -",
      "",
      "A line is one hour in UTC; ~ marks one that the window holds a part of.",
    ]);
  });

  test("show a line for each namespace that has a backlog", () => {
    const calm = {
      namespace_name: "calm",
      queued_steps: 0,
      claimable_steps: 0,
      claimable_is_exact: true,
      oldest_claimable_seconds: null,
      running_steps: 0,
      executions_per_second: 0,
      drain_seconds: 0,
    };
    const busy = {
      namespace_name: "busy",
      queued_steps: 5000,
      claimable_steps: 4000,
      claimable_is_exact: false,
      oldest_claimable_seconds: 90,
      running_steps: 20,
      executions_per_second: 2,
      drain_seconds: 2000,
    };
    const { calculated_at, data_through, filters } = frame;
    const of = { calculated_at, data_through, filters, unclaimable: [] };
    assert.deepEqual(backlogLines({ namespaces: [calm, busy], ...of }), [
      "",
      "namespace  queued  claimable  oldest  running  a minute  drained in",
      "calm            0          0       -        0         0        0 ms",
      "busy        5,000   <= 4,000    90 s       20       120   33 m 20 s",
    ]);
    assert.deepEqual(backlogLines({ namespaces: [], ...of }), ["", "no namespace is registered"]);
    const kind = { namespace_name: "busy", task_name: "order", version: "1.0.0", oldest_seconds: 90 };
    const unclaimable = [
      { ...kind, step_name: "pack", steps: 1000, steps_is_exact: false },
      { ...kind, step_name: "send", steps: 2, steps_is_exact: true },
    ];
    assert.deepEqual(backlogLines({ namespaces: [calm], ...of, unclaimable }).slice(3), [
      "",
      "no worker has a handler for these steps:",
      "  busy/order 1.0.0 pack: >= 1,000, the oldest for 90 s",
      "  busy/order 1.0.0 send: 2, the oldest for 90 s",
    ]);
  });
});
