import type { Finding } from "./answers.ts";
import type { Slowdown } from "./usual.ts";

/** Beyond these a recommendation is made. */
export interface Thresholds {
  /** Fraction of executions that failed. */
  readonly errorRate: number;
  /** Fraction of the engine's pool in use. */
  readonly poolUtilization: number;
  /** Mean duration of a step. */
  readonly slowStepSeconds: number;
}

/** A step that fails too often or lasts too long. */
export interface StepAlert {
  readonly namespace_name: string;
  readonly task_name: string;
  readonly version: string;
  readonly step_name: string;
  readonly average_duration_seconds: number | null;
  readonly average_dependency_wait_seconds: number | null;
  readonly average_queue_wait_seconds: number | null;
  readonly average_retry_seconds: number | null;
  readonly error_rate: number | null;
  readonly error_count: number;
  readonly execution_count: number;
  readonly attempt_count: number;
  readonly failed_attempt_count: number;
}

/** Recommendations in words, and the same as data. Both name the step they speak of. */
export function recommend(
  alerts: readonly StepAlert[],
  poolUtilization: number,
  thresholds: Thresholds,
  slowdowns: readonly Slowdown[] = [],
): { readonly findings: Finding[]; readonly recommendations: string[] } {
  const findings = alerts.flatMap((alert) => stepFindings(alert, thresholds));
  findings.push(...slowdowns.map(slowdownFinding));
  if (poolUtilization > thresholds.poolUtilization) findings.push(poolFinding(poolUtilization));
  return { findings, recommendations: findings.map(sentence) };
}

function stepFindings(alert: StepAlert, thresholds: Thresholds): Finding[] {
  const { namespace_name, task_name, version, step_name, error_rate, average_duration_seconds: duration } = alert;
  const subject = { namespace_name, task_name, version, step_name };
  const parts = {
    dependency_wait_seconds: alert.average_dependency_wait_seconds ?? 0,
    queue_wait_seconds: alert.average_queue_wait_seconds ?? 0,
    retry_seconds: alert.average_retry_seconds ?? 0,
    run_seconds: duration ?? 0,
  };
  const findings: Finding[] = [];
  if (error_rate !== null && error_rate > thresholds.errorRate) {
    const { error_count, execution_count, attempt_count, failed_attempt_count } = alert;
    findings.push({
      code: "high_error_rate",
      severity: error_rate >= 0.5 ? "critical" : "warning",
      subject,
      evidence: { error_rate, error_count, execution_count, attempt_count, failed_attempt_count, ...parts },
      // Waiting makes nothing fail: of the four parts these two tell where.
      remedy: remedyOf({ run_seconds: parts.run_seconds, retry_seconds: parts.retry_seconds }),
    });
  }
  if (duration !== null && duration > thresholds.slowStepSeconds) {
    findings.push({ code: "slow_step", severity: "warning", subject, evidence: parts, remedy: remedyOf(parts) });
  }
  return findings;
}

function slowdownFinding(slowdown: Slowdown): Finding {
  const { namespace_name, task_name, version, step_name, ...evidence } = slowdown;
  const grown = {
    dependency_wait_seconds: slowdown.average_dependency_wait_seconds - slowdown.usual_average_dependency_wait_seconds,
    queue_wait_seconds: slowdown.average_queue_wait_seconds - slowdown.usual_average_queue_wait_seconds,
    retry_seconds: slowdown.average_retry_seconds - slowdown.usual_average_retry_seconds,
    run_seconds: slowdown.average_duration_seconds - slowdown.usual_average_duration_seconds,
  };
  return {
    code: "slower_than_usual",
    severity: "warning",
    subject: { namespace_name, task_name, version, step_name },
    evidence,
    // What grew the most, not what is the largest: that may be as it always was.
    remedy: remedyOf(grown),
  };
}

/** The largest part of the life is what can be shortened the most. */
function remedyOf(parts: Readonly<Record<string, number>>): Finding["remedy"] {
  const remedies = [
    ["run_seconds", "fix_handler"],
    ["queue_wait_seconds", "add_workers"],
    ["retry_seconds", "fix_retries"],
    ["dependency_wait_seconds", "reshape_graph"],
  ] as const;
  const longest = Math.max(...Object.values(parts));
  return remedies.find(([part]) => parts[part] === longest)?.[1] ?? "fix_handler";
}

function poolFinding(utilization: number): Finding {
  return {
    code: "pool_saturated",
    severity: utilization >= 1 ? "critical" : "warning",
    subject: null,
    evidence: { database_pool_utilization: utilization },
    remedy: "raise_pool_size",
  };
}

const remedyWords: Readonly<Record<Finding["remedy"], string>> = {
  add_workers: "it waits for workers longer than it runs: add workers",
  fix_handler: "look at its handler",
  fix_retries: "most of its time goes into retries: look at why its attempts fail",
  reshape_graph: "it waits for its parents longer than it runs: reshape the graph",
  raise_pool_size: "raise max_connections in [database], or run fewer steps at once",
};

/** Of a part that grew. */
const grownWords: Readonly<Record<Finding["remedy"], string>> = {
  ...remedyWords,
  add_workers: "its wait for workers grew the most: add workers",
  fix_handler: "its run grew the most: look at its handler and at what that calls",
  fix_retries: "its time in retries grew the most: look at why its attempts fail",
  reshape_graph: "its wait for its parents grew the most: look at them, or reshape the graph",
};

const sentences: Readonly<
  Record<Finding["code"], (step: string, evidence: Finding["evidence"], remedy: string) => string>
> = {
  high_error_rate: (step, e, remedy) =>
    `${step} fails in ${percent(e["error_rate"])} of its executions (${e["error_count"]} of ${e["execution_count"]}): ${remedy}.`,
  slow_step: (step, e, remedy) => `${step} takes ${(e["run_seconds"] ?? 0).toFixed(1)} s on average: ${remedy}.`,
  slower_than_usual: (step, e, remedy) =>
    `${step} takes ${seconds(e["average_duration_seconds"])} on average (p95 ${seconds(e["p95_duration_seconds"])}), ` +
    `at these hours of the last seven days ${seconds(e["usual_average_duration_seconds"])} ` +
    `(p95 ${seconds(e["usual_p95_duration_seconds"])}): ${remedy}.`,
  pool_saturated: (_, e, remedy) =>
    `${percent(e["database_pool_utilization"])} of the database pool is in use: ${remedy}.`,
};

function sentence({ code, subject, evidence, remedy }: Finding): string {
  const step =
    subject === null
      ? ""
      : `Step ${subject.step_name} of ${subject.namespace_name}/${subject.task_name} ${subject.version}`;
  return sentences[code](step, evidence, (code === "slower_than_usual" ? grownWords : remedyWords)[remedy]);
}

function seconds(value: number | undefined): string {
  return `${Number((value ?? 0).toPrecision(3))} s`;
}

function percent(fraction: number | undefined): string {
  return `${((fraction ?? 0) * 100).toFixed(1)} %`;
}
