import type { PerformanceMetrics } from "../../src/analytics/answers.ts";
import { checkDistribution, windowOf } from "./check-durations.ts";
import { expectedAll, expectedTasks } from "./expected.ts";
import type { Stored } from "./stored.ts";
import type { Violations } from "./violations.ts";

/** Checks the performance of a template all of whose tasks completed. */
export function checkPerformance(
  label: string,
  stored: Stored,
  answer: PerformanceMetrics,
  violations: Violations,
): void {
  const window = windowOf(answer);
  const tasks = expectedTasks(stored, window);
  const steps = expectedAll(stored, window);
  const rule = `performance (${label})`;
  const firstUs = Math.min(...stored.tasks.map((task) => task.createdUs));
  const hours = Math.max(60e6, window.toUs - Math.max(window.fromUs, firstUs)) / 3600e6;
  const exact: Partial<Record<keyof PerformanceMetrics, unknown>> = {
    total_tasks: stored.tasks.length,
    active_tasks: 0,
    completed_tasks: tasks.count,
    failed_tasks: 0,
    cancelled_tasks: 0,
    resolved_tasks: 0,
    completion_rate: 1,
    error_rate: 0,
    average_task_duration_seconds: tasks.averageSeconds,
    average_step_duration_seconds: steps.averageSeconds,
    step_execution_count: steps.count,
    step_error_count: 0,
    attempt_count: steps.count,
    failed_attempt_count: 0,
    reopened_count: 0,
    tasks_per_hour: tasks.count / hours,
    steps_per_hour: steps.count / hours,
  };
  for (const [field, expected] of Object.entries(exact)) {
    violations.same(rule, field, Object.getOwnPropertyDescriptor(answer, field)?.value, expected);
  }
  const life = answer.step_life;
  violations.same(rule, "step_life.dependency_wait_seconds", life.dependency_wait_seconds, steps.parts.dependency_wait);
  violations.same(rule, "step_life.queue_wait_seconds", life.queue_wait_seconds, steps.parts.queue_wait);
  violations.same(rule, "step_life.retry_seconds", life.retry_seconds, steps.parts.retry);
  violations.same(rule, "step_life.run_seconds", life.run_seconds, steps.averageSeconds);
  checkDistribution(rule, "task_duration", answer.task_duration, tasks, violations);
  checkDistribution(rule, "step_duration", answer.step_duration, steps, violations);
}
