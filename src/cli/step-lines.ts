import type { HistogramBucket, StepDetail } from "../http/api-types.ts";
import { count, duration, percent, plural } from "./format.ts";
import { type Column, table } from "./table.ts";

const barColumnsMax = 40;
/** Lines of the distribution. */
const barsMax = 12;

/** A StepDetail for people. */
export function stepLines(detail: StepDetail): string[] {
  const { duration: of, life, histogram, trend, examples } = detail;
  const parts = [
    `${duration(life.dependency_wait_seconds)} waiting for its parents`,
    `${duration(life.queue_wait_seconds)} in the queue`,
    `${duration(life.retry_seconds)} in retries`,
    `${duration(life.run_seconds)} running`,
  ];
  return [
    "",
    `runs    ${count(detail.execution_count)}, ${percent(detail.error_rate)} failed, ` +
      `${plural(detail.attempt_count, "attempt")}, ${count(detail.running_count)} running now`,
    `lasts   ${duration(detail.average_duration_seconds)} on average, p50 ${duration(of.p50_seconds)}, ` +
      `p95 ${duration(of.p95_seconds)}, p99 ${duration(of.p99_seconds)}, at most ${duration(of.max_seconds)}`,
    `life    ${parts.join(", ")}`,
    "",
    "Durations",
    ...(histogram.length === 0 ? ["  none completed"] : indented(bars(histogram))),
    "",
    `Trend, by ${trend.bucket}`,
    ...indented(
      table(
        trendColumns,
        trend.points.map((point) => [
          point.bucket_start.slice(0, 16).replace("T", " "),
          count(point.step_execution_count),
          percent(point.step_error_rate),
          duration(point.step_duration.p50_seconds),
          duration(point.step_duration.p95_seconds),
        ]),
      ),
    ),
    "",
    "Tasks near the p95",
    ...(examples.length === 0
      ? ["  none: their facts are gone, or nothing completed"]
      : examples.map(({ task_id, duration_seconds }) => `  ${task_id}  ${duration(duration_seconds)}`)),
  ];
}

const trendColumns: readonly Column[] = [
  { heading: "from" },
  ...["runs", "failed", "p50", "p95"].map((heading) => ({ heading, align: "right" as const })),
];

/** Neighbouring buckets in one line, as many as leave at most `barsMax` lines. */
function bars(histogram: readonly HistogramBucket[]): string[] {
  const perLine = Math.ceil(histogram.length / barsMax);
  const groups = Array.from({ length: Math.ceil(histogram.length / perLine) }, (_, index) =>
    histogram.slice(index * perLine, (index + 1) * perLine),
  );
  const totals = groups.map((group) => group.reduce((sum, bucket) => sum + bucket.count, 0));
  const most = Math.max(...totals);
  const rows = groups.map((group, index) => {
    const total = totals[index] ?? 0;
    const bar = "#".repeat(Math.max(1, Math.round((total / most) * barColumnsMax)));
    return [`<= ${duration(group.at(-1)?.to_seconds ?? null)}`, count(total), bar];
  });
  return table([{ heading: "" }, { heading: "runs", align: "right" }, { heading: "" }], rows);
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}
