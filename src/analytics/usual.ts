import type { Sql, Timestamp } from "../postgres/sql.ts";
import type { BottleneckParameters } from "./parameters.ts";

/** A step that takes longer than at the same hours of the seven days before: its figures then and now, means in seconds. */
export interface Slowdown {
  readonly namespace_name: string;
  readonly task_name: string;
  readonly version: string;
  readonly step_name: string;
  /** How many hours were looked at, the current one included. */
  readonly recent_hours: number;
  readonly completed_count: number;
  readonly usual_completed_count: number;
  readonly average_duration_seconds: number;
  readonly usual_average_duration_seconds: number;
  readonly p95_duration_seconds: number;
  readonly usual_p95_duration_seconds: number;
  readonly average_dependency_wait_seconds: number;
  readonly usual_average_dependency_wait_seconds: number;
  readonly average_queue_wait_seconds: number;
  readonly usual_average_queue_wait_seconds: number;
  readonly average_retry_seconds: number;
  readonly usual_average_retry_seconds: number;
}

/** From when on a step is slower than usual: its mean and its p95 both. */
const slowdown = Object.freeze({ factor: 1.5, seconds: 0.1 });

/** Fewer completed executions, in the latest hours and on the days before, are not enough to tell. */
const completedMin = Object.freeze({ recent: 20, usual: 60 });

/** The most steps that are named. */
const slowdownsMax = 20;

/** The steps that are slower than usual, the slowest in proportion first. */
export async function readSlowdowns(
  sql: Sql,
  { hours, min_executions, namespace, task_name, version }: BottleneckParameters,
  now: Timestamp,
): Promise<Slowdown[]> {
  return sql.query<Slowdown>({
    text: `select namespace_name, task_name, version, step_name, recent_hours, completed_count, usual_completed_count,
        average_duration_seconds, usual_average_duration_seconds, p95_duration_seconds, usual_p95_duration_seconds,
        average_dependency_wait_seconds, usual_average_dependency_wait_seconds, average_queue_wait_seconds,
        usual_average_queue_wait_seconds, average_retry_seconds, usual_average_retry_seconds
      from tasker.get_steps_slower_than_usual($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    values: [
      hours,
      Math.max(completedMin.recent, min_executions),
      completedMin.usual,
      slowdown.factor,
      slowdown.seconds,
      slowdownsMax,
      namespace ?? null,
      task_name ?? null,
      version ?? null,
      now,
    ],
  });
}
