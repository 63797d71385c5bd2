import type { Distribution, PerformanceMetrics } from "../http/api-types.ts";
import { count, duration, nothing, percent } from "./format.ts";
import { type Column, table } from "./table.ts";

/** PerformanceMetrics for people. */
export function performanceLines(metrics: PerformanceMetrics): string[] {
  const life = metrics.step_life;
  return [
    "",
    ...pairs([
      ["tasks", `${count(metrics.total_tasks)} in all, ${count(metrics.active_tasks)} active now`],
      [
        "ended",
        `${count(metrics.completed_tasks)} complete, ${count(metrics.failed_tasks)} failed, ` +
          `${count(metrics.cancelled_tasks)} cancelled, ${count(metrics.resolved_tasks)} resolved by hand`,
      ],
      ["rates", `${percent(metrics.completion_rate)} complete, ${percent(metrics.error_rate)} failed`],
      ["throughput", `${count(metrics.tasks_per_hour)} tasks and ${count(metrics.steps_per_hour)} steps an hour`],
      ["steps", `${count(metrics.step_execution_count)} ended, ${count(metrics.step_error_count)} of them failed`],
      ["attempts", `${count(metrics.attempt_count)}, ${count(metrics.failed_attempt_count)} of them failed`],
      ["health", healthOf(metrics)],
    ]),
    "",
    ...table(distributionColumns, [
      rowOf("task", metrics.task_duration, metrics.average_task_duration_seconds),
      rowOf("step's run", metrics.step_duration, metrics.average_step_duration_seconds),
    ]),
    "",
    "A completed step's life, on average: " +
      `${duration(life.dependency_wait_seconds)} waiting for its parents, ${duration(life.queue_wait_seconds)} in the queue, ` +
      `${duration(life.retry_seconds)} in retries, ${duration(life.run_seconds)} running`,
  ];
}

const distributionColumns: readonly Column[] = [
  { heading: "time of a" },
  ...["count", "mean", "p50", "p95", "p99", "max"].map((heading) => ({ heading, align: "right" as const })),
];

function rowOf(name: string, distribution: Distribution, mean: number | null): string[] {
  const { sample_size, p50_seconds, p95_seconds, p99_seconds, max_seconds } = distribution;
  return [name, count(sample_size), ...[mean, p50_seconds, p95_seconds, p99_seconds, max_seconds].map(duration)];
}

function healthOf({ system_health_score, health_factors }: PerformanceMetrics): string {
  const factors = Object.entries(health_factors).map(([name, { score }]) => `${name} ${scoreOf(score)}`);
  return `${scoreOf(system_health_score)} of 1 (${factors.join(", ")})`;
}

function scoreOf(score: number | null): string {
  return score === null ? nothing : score.toFixed(2);
}

/** Names on the left, what is to say of them on the right. */
function pairs(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `${name.padEnd(width)}  ${text}`);
}
