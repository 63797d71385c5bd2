import type { BottleneckAnalysis, PerformanceMetrics, Timeseries } from "./api-types.ts";
import { csvOf } from "./csv.ts";

// Each takes the JSON of an answer that this process, or another of its version, has made: its shape is not checked again.

/** The lists of a BottleneckAnalysis, of which CSV has one. */
export const bottleneckTables = ["slow_steps", "slow_tasks"] as const;
export type BottleneckTable = (typeof bottleneckTables)[number];

/** One row: what the window is, and its figures. */
export function performanceCsv(json: string): string {
  const { filters: _, ...metrics } = JSON.parse(json) as PerformanceMetrics;
  return csvOf([metrics]);
}

/** A row for each step, or task, in the order of the answer. */
export function bottlenecksCsv(json: string, table: BottleneckTable): string {
  const analysis = JSON.parse(json) as BottleneckAnalysis;
  return csvOf(analysis[table], bottleneckColumns[table]);
}

/** A row for each point. */
export function timeseriesCsv(json: string): string {
  const { points } = JSON.parse(json) as Timeseries;
  return csvOf(points);
}

/** Written down because the lists may be empty. */
export const bottleneckColumns: Readonly<Record<BottleneckTable, readonly string[]>> = {
  slow_steps: [
    "namespace_name",
    "task_name",
    "version",
    "step_name",
    "average_duration_seconds",
    "max_duration_seconds",
    "p50_duration_seconds",
    "p95_duration_seconds",
    "p99_duration_seconds",
    "execution_count",
    "completed_count",
    "error_count",
    "error_rate",
    "last_executed_at",
    "life_dependency_wait_seconds",
    "life_queue_wait_seconds",
    "life_retry_seconds",
    "life_run_seconds",
    "average_failed_duration_seconds",
    "attempt_count",
    "failed_attempt_count",
    "reopened_count",
    "cancelled_count",
    "skipped_count",
    "blocked_count",
    "resolved_count",
    "running_count",
    "oldest_running_seconds",
    "total_time_seconds",
    "share_of_template_time",
    "critical_path_share",
  ],
  slow_tasks: [
    "namespace_name",
    "task_name",
    "version",
    "average_duration_seconds",
    "max_duration_seconds",
    "p50_duration_seconds",
    "p95_duration_seconds",
    "p99_duration_seconds",
    "execution_count",
    "completed_count",
    "average_step_count",
    "error_count",
    "error_rate",
    "last_executed_at",
    "failed_step_count",
    "cancelled_count",
    "resolved_count",
    "total_time_seconds",
  ],
};
