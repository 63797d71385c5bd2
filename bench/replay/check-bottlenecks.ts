import type { BottleneckAnalysis, SlowStep, SlowTask } from "../../src/analytics/answers.ts";
import { bottleneckLimit } from "./answered.ts";
import { checkPercentiles, windowOf } from "./check-durations.ts";
import { type ExpectedDurations, type ExpectedStep, expectedSteps, expectedTasks } from "./expected.ts";
import type { Stored } from "./stored.ts";
import type { Violations } from "./violations.ts";

/** Checks the bottlenecks of a template all of whose tasks completed. */
export function checkBottlenecks(
  label: string,
  stored: Stored,
  answer: BottleneckAnalysis,
  violations: Violations,
): void {
  const rule = `bottlenecks by ${answer.sort} (${label})`;
  const window = windowOf(answer);
  const expected = expectedSteps(stored, window);
  checkSlowSteps(rule, expected, answer, violations);
  const [task, ...others] = answer.slow_tasks;
  violations.same(rule, "the number of slow tasks", others.length + (task === undefined ? 0 : 1), 1);
  if (task !== undefined) checkSlowTask(rule, stored, expectedTasks(stored, window), task, violations);
  const { total_tasks, tasks, total_steps, steps } = answer.resource_utilization.system_health;
  const counts = [total_tasks, tasks.complete, total_steps, steps.complete];
  const { length: taskCount } = stored.tasks;
  const { length: stepCount } = stored.steps;
  violations.same(
    rule,
    "tasks and steps, complete ones",
    counts.join(),
    [taskCount, taskCount, stepCount, stepCount].join(),
  );
}

/** The longest come first; of steps that are equally long any may come before the other here. */
function checkSlowSteps(
  rule: string,
  expected: readonly ExpectedStep[],
  { slow_steps, sort }: BottleneckAnalysis,
  violations: Violations,
): void {
  const rankOf = ({ averageSeconds, totalSeconds }: ExpectedStep): number =>
    sort === "total_time" ? totalSeconds : (averageSeconds ?? 0);
  const ranked = expected.toSorted((a, b) => rankOf(b) - rankOf(a)).slice(0, bottleneckLimit);
  violations.same(rule, "the number of slow steps", slow_steps.length, ranked.length);
  const byName = new Map(expected.map((step) => [step.name, step]));
  const template = expected.reduce((total, step) => total + step.totalSeconds, 0);
  for (const [index, step] of slow_steps.entries()) {
    const figures = byName.get(step.step_name);
    const place = ranked[index];
    if (figures === undefined || place === undefined) continue;
    violations.same(rule, `place ${index + 1}`, rankOf(figures), rankOf(place));
    checkSlowStep(rule, figures, step, template, violations);
  }
}

function checkSlowStep(
  rule: string,
  expected: ExpectedStep,
  step: SlowStep,
  templateSeconds: number,
  violations: Violations,
): void {
  const { name } = expected;
  const counts = [step.execution_count, step.completed_count, step.error_count, step.error_rate, step.attempt_count];
  violations.same(rule, `${name} counts`, counts.join(), [expected.count, expected.count, 0, 0, expected.count].join());
  violations.same(rule, `${name} average`, step.average_duration_seconds, expected.averageSeconds);
  violations.same(rule, `${name} max`, step.max_duration_seconds, expected.maxSeconds);
  violations.same(rule, `${name} total`, step.total_time_seconds, expected.totalSeconds);
  const share = templateSeconds === 0 ? null : expected.totalSeconds / templateSeconds;
  violations.require(
    share === step.share_of_template_time || Math.abs((share ?? 0) - (step.share_of_template_time ?? 0)) < 1e-9,
    rule,
    () => `${name} share is ${String(step.share_of_template_time)}, expected ${String(share)}`,
  );
  const percentiles = [step.p50_duration_seconds, step.p95_duration_seconds, step.p99_duration_seconds];
  checkPercentiles(rule, name, percentiles, expected, violations);
}

function checkSlowTask(
  rule: string,
  stored: Stored,
  expected: ExpectedDurations,
  task: SlowTask,
  violations: Violations,
): void {
  const counts = [
    task.execution_count,
    task.completed_count,
    task.error_count,
    task.error_rate,
    task.failed_step_count,
  ];
  violations.same(rule, "task counts", counts.join(), [expected.count, expected.count, 0, 0, 0].join());
  violations.same(rule, "task average", task.average_duration_seconds, expected.averageSeconds);
  violations.same(rule, "task max", task.max_duration_seconds, expected.maxSeconds);
  violations.same(rule, "task total", task.total_time_seconds, expected.totalSeconds);
  violations.same(rule, "average_step_count", task.average_step_count, stored.steps.length / stored.tasks.length);
  const percentiles = [task.p50_duration_seconds, task.p95_duration_seconds, task.p99_duration_seconds];
  checkPercentiles(rule, "task", percentiles, expected, violations);
}
