import type { Distribution } from "../../src/analytics/answers.ts";
import { type ExpectedDurations, microsecondsOf, type Window } from "./expected.ts";
import type { Violations } from "./violations.ts";

/** What the answers state as the error of their percentiles. */
const percentileRelativeError = 0.01;

/** The window that an answer says it is about. */
export function windowOf(answer: {
  readonly analysis_period_start: string;
  readonly analysis_period_end: string;
}): Window {
  return { fromUs: microsecondsOf(answer.analysis_period_start), toUs: microsecondsOf(answer.analysis_period_end) };
}

export function checkDistribution(
  rule: string,
  what: string,
  answer: Distribution,
  expected: ExpectedDurations,
  violations: Violations,
): void {
  violations.same(rule, `${what}.sample_size`, answer.sample_size, expected.count);
  violations.same(rule, `${what}.max_seconds`, answer.max_seconds, expected.maxSeconds);
  checkPercentiles(rule, what, [answer.p50_seconds, answer.p95_seconds, answer.p99_seconds], expected, violations);
}

/** p50, p95 and p99, each within 1 % of the nearest rank. */
export function checkPercentiles(
  rule: string,
  what: string,
  answer: readonly (number | null)[],
  { percentiles }: ExpectedDurations,
  violations: Violations,
): void {
  if (percentiles === null) {
    violations.require(
      answer.every((value) => value === null),
      rule,
      () => `${what} has percentiles of nothing`,
    );
    return;
  }
  for (const [index, name] of (["p50", "p95", "p99"] as const).entries()) {
    violations.near(rule, `${what} ${name}`, answer[index] ?? null, percentiles[name], percentileRelativeError);
  }
}
