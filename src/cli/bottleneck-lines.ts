import type { BottleneckAnalysis, SlowStep, SlowTask } from "../http/api-types.ts";
import { count, duration, percent } from "./format.ts";
import { type Column, table } from "./table.ts";

/** A BottleneckAnalysis for people. */
export function bottleneckLines(analysis: BottleneckAnalysis): string[] {
  const { slow_steps, slow_tasks, recommendations, min_executions, sort, resource_utilization } = analysis;
  const { database_pool_utilization, system_health } = resource_utilization;
  const order = `by ${sort.replaceAll("_", " ")}`;
  const none = [`  none ran ${count(min_executions)} times or more`];
  const inProgress = system_health.tasks.in_progress + system_health.tasks.pending;
  return [
    "",
    `Steps, ${order}`,
    ...(slow_steps.length === 0 ? none : indented(table(stepColumns, slow_steps.map(stepRow)))),
    "",
    `Tasks, ${order}`,
    ...(slow_tasks.length === 0 ? none : indented(table(taskColumns, slow_tasks.map(taskRow)))),
    "",
    `Now: ${count(inProgress)} of ${count(system_health.total_tasks)} tasks have not ended; ` +
      `${percent(database_pool_utilization)} of the server's database pool is in use`,
    "",
    "Recommendations",
    ...(recommendations.length === 0 ? ["  none"] : recommendations.map((sentence) => `  - ${sentence}`)),
  ];
}

const figureColumns: readonly Column[] = ["runs", "mean", "p50", "p95", "max", "failed"].map((heading) => ({
  heading,
  align: "right",
}));

const stepColumns: readonly Column[] = [
  { heading: "step" },
  { heading: "of" },
  ...figureColumns,
  { heading: "queued", align: "right" },
  { heading: "retrying", align: "right" },
];

const taskColumns: readonly Column[] = [{ heading: "task" }, ...figureColumns];

function stepRow(step: SlowStep): string[] {
  const { life } = step;
  return [
    step.step_name,
    labelOf(step),
    ...figuresOf(step),
    ...[life.queue_wait_seconds, life.retry_seconds].map(duration),
  ];
}

function taskRow(task: SlowTask): string[] {
  return [labelOf(task), ...figuresOf(task)];
}

function figuresOf(figures: SlowStep | SlowTask): string[] {
  const { average_duration_seconds, p50_duration_seconds, p95_duration_seconds, max_duration_seconds } = figures;
  return [
    count(figures.execution_count),
    ...[average_duration_seconds, p50_duration_seconds, p95_duration_seconds, max_duration_seconds].map(duration),
    percent(figures.error_rate),
  ];
}

function labelOf({ namespace_name, task_name, version }: SlowStep | SlowTask): string {
  return `${namespace_name}/${task_name} ${version}`;
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}
