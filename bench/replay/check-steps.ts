import type { StepFigures } from "./answered.ts";
import { checkPercentiles } from "./check-durations.ts";
import { type ExpectedStep, microsecondsOf } from "./expected.ts";
import type { Violations } from "./violations.ts";

/** Every step of the template, by the functions below the answers. */
export function checkSteps(
  label: string,
  expected: readonly ExpectedStep[],
  answer: readonly StepFigures[],
  violations: Violations,
): void {
  const rule = `step figures (${label})`;
  violations.same(rule, "the number of steps", answer.length, expected.length);
  const figuresOf = new Map(answer.map((figures) => [figures.name, figures]));
  for (const step of expected) {
    const figures = figuresOf.get(step.name);
    violations.require(figures !== undefined, rule, () => `${step.name} is missing`);
    if (figures === undefined) continue;
    const { executions, completed, failed, attempts, failedAttempts, reopened, running } = figures;
    const counts = [executions, completed, failed, attempts, failedAttempts, reopened, running];
    violations.same(
      rule,
      `${step.name} counts`,
      counts.join(),
      [step.count, step.count, 0, step.count, 0, 0, 0].join(),
    );
    violations.same(rule, `${step.name} average`, figures.averageSeconds, step.averageSeconds);
    violations.same(rule, `${step.name} max`, figures.maxSeconds, step.maxSeconds);
    violations.same(rule, `${step.name} total`, figures.totalSeconds, step.totalSeconds);
    violations.same(rule, `${step.name} dependency_wait`, figures.dependencyWaitSeconds, step.parts.dependency_wait);
    violations.same(rule, `${step.name} queue_wait`, figures.queueWaitSeconds, step.parts.queue_wait);
    violations.same(rule, `${step.name} retry`, figures.retrySeconds, step.parts.retry);
    violations.same(rule, `${step.name} last ended`, microsecondsOf(figures.lastEndedAt ?? ""), step.lastEndedUs);
    checkPercentiles(rule, step.name, figures.percentiles ?? [], step, violations);
  }
}
