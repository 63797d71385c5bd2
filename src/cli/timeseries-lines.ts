import type { Timeseries, TimeseriesPoint } from "../http/api-types.ts";
import { count, duration, percent } from "./format.ts";
import { type Column, table } from "./table.ts";

/** A Timeseries for people: a line for each bucket. */
export function timeseriesLines({ bucket, points }: Timeseries): string[] {
  return [
    "",
    ...table(columns, points.map(rowOf)),
    "",
    `A line is ${words[bucket]} in UTC; ~ marks one that the window holds a part of.`,
  ];
}

const words: Readonly<Record<Timeseries["bucket"], string>> = {
  minute: "one minute",
  "5m": "five minutes",
  hour: "one hour",
  day: "one day",
};

const columns: readonly Column[] = [
  { heading: "from" },
  ...["tasks", "failed", "p50", "p95", "steps", "failed", "p50", "p95"].map((heading) => ({
    heading,
    align: "right" as const,
  })),
];

function rowOf(point: TimeseriesPoint): string[] {
  const { bucket_start, is_complete, task_duration, step_duration } = point;
  return [
    `${bucket_start.slice(0, 16).replace("T", " ")}${is_complete ? "" : " ~"}`,
    count(point.completed_tasks + point.failed_tasks),
    percent(point.error_rate),
    duration(task_duration.p50_seconds),
    duration(task_duration.p95_seconds),
    count(point.step_execution_count),
    percent(point.step_error_rate),
    duration(step_duration.p50_seconds),
    duration(step_duration.p95_seconds),
  ];
}
