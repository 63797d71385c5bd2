import type { BottleneckAnalysis, PerformanceMetrics } from "../../http/api-types.ts";
import { count, duration, percent } from "../format.ts";

/** The gist of an answer of `performance`. */
export function performanceHeadline(text: string): string[] {
  const { completed_tasks, failed_tasks, completion_rate, task_duration } = JSON.parse(text) as PerformanceMetrics;
  const ended = count(completed_tasks + failed_tasks);
  const { p50_seconds, p95_seconds } = task_duration;
  const rate = `${percent(completion_rate)} of ${ended} tasks complete`;
  return [`${rate}; half of them within ${duration(p50_seconds)}, 19 of 20 within ${duration(p95_seconds)}`];
}

/** The gist of an answer of `bottlenecks`. */
export function bottlenecksHeadline(text: string): string[] {
  const { slow_steps, recommendations } = JSON.parse(text) as BottleneckAnalysis;
  const [slowest] = slow_steps;
  if (slowest === undefined) return ["no step has run"];
  const mean = duration(slowest.average_duration_seconds);
  return [`the slowest step is ${slowest.step_name} of ${slowest.task_name}, ${mean} on average`, ...recommendations];
}
