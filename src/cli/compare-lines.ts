import type { Comparison, Comparisons, VersionComparison, VersionFigures } from "../http/api-types.ts";
import { count, duration, nothing, percent } from "./format.ts";
import { type Column, table } from "./table.ts";

/** A VersionComparison for people: a line for the tasks and one for each step. */
export function compareLines({ a, b, tasks, steps, minimum_samples }: VersionComparison): string[] {
  return [
    "",
    ...table(columnsFor(a, b), [
      ["task", ...cells(tasks.a, tasks.b, tasks.comparison)],
      ...steps.map((step) => [`  ${step.step_name}`, ...cells(step.a, step.b, step.comparison)]),
    ]),
    "",
    `= no difference found, ? not enough data (${minimum_samples.p50_duration} of each version for a p50 or a rate, ` +
      `${minimum_samples.p95_duration} for a p95)`,
  ];
}

function columnsFor(a: string, b: string): readonly Column[] {
  const of = ["runs", "p50", "p95", "failed"].flatMap((figure) => [
    `${figure} ${a}`,
    b,
    ...(figure === "runs" ? [] : [""]),
  ]);
  return [{ heading: "" }, ...of.map((heading) => ({ heading, align: "right" as const }))];
}

function cells(a: VersionFigures | null, b: VersionFigures | null, comparison: Comparisons | null): string[] {
  const of = (show: (figures: VersionFigures) => string): string[] =>
    [a, b].map((figures) => (figures === null ? nothing : show(figures)));
  const times = (ratio: number): string => `x ${ratio.toFixed(2)}`;
  const points = (difference: number): string => `${difference > 0 ? "+" : ""}${percent(difference)}`;
  return [
    ...of((figures) => count(figures.execution_count)),
    ...of((figures) => duration(figures.p50_duration_seconds)),
    verdict(comparison?.p50_duration, times),
    ...of((figures) => duration(figures.p95_duration_seconds)),
    verdict(comparison?.p95_duration, times),
    ...of((figures) => percent(figures.error_rate)),
    verdict(comparison?.error_rate, points),
  ];
}

function verdict(comparison: Comparison | undefined, show: (estimate: number) => string): string {
  if (comparison === undefined) return nothing;
  if (comparison.estimate === null) return "?";
  return comparison.verdict === "no_difference_found" ? "=" : show(comparison.estimate);
}
