import type { Timestamp } from "../postgres/sql.ts";
import type { StepState, TaskState } from "../workflow/states.ts";
import type { AnalyticsFilter, BottleneckSort } from "./parameters.ts";

// The answers as they are sent: names are binding, seconds and fractions in 0..1, null where nothing is behind a number.
// Every definition stands in docs/analytics.md.

/** What every answer says of itself. */
export interface AnswerFrame {
  readonly analysis_period_start: Timestamp;
  readonly analysis_period_end: Timestamp;
  /** The database's time when the answer was computed. */
  readonly calculated_at: Timestamp;
  /** Every commit up to then is in the answer. */
  readonly data_through: Timestamp;
  readonly filters: AnalyticsFilter;
}

/** A distribution of durations in seconds. Percentiles by nearest rank, within `percentile_relative_error`. */
export interface Distribution {
  readonly sample_size: number;
  readonly p50_seconds: number | null;
  readonly p95_seconds: number | null;
  readonly p99_seconds: number | null;
  readonly max_seconds: number | null;
}

/** The mean parts of a completed step's life, in seconds; they sum to its mean life. */
export interface LifeParts {
  readonly dependency_wait_seconds: number | null;
  readonly queue_wait_seconds: number | null;
  readonly retry_seconds: number | null;
  readonly run_seconds: number | null;
}

/** One factor of the health: null without evidence. */
export interface HealthFactor {
  readonly score: number | null;
  readonly explanation: string;
}

export interface PerformanceMetrics extends AnswerFrame {
  readonly total_tasks: number;
  readonly active_tasks: number;
  readonly completed_tasks: number;
  readonly failed_tasks: number;
  readonly cancelled_tasks: number;
  readonly resolved_tasks: number;
  readonly completion_rate: number | null;
  readonly error_rate: number | null;
  readonly average_task_duration_seconds: number | null;
  readonly average_step_duration_seconds: number | null;
  readonly task_duration: Distribution;
  readonly step_duration: Distribution;
  readonly step_life: LifeParts;
  readonly percentile_relative_error: number;
  readonly step_execution_count: number;
  readonly step_error_count: number;
  readonly attempt_count: number;
  readonly failed_attempt_count: number;
  readonly reopened_count: number;
  readonly tasks_per_hour: number;
  readonly steps_per_hour: number;
  readonly system_health_score: number | null;
  readonly health_factors: {
    readonly success: HealthFactor;
    readonly liveness: HealthFactor;
    readonly backlog: HealthFactor;
  };
}

export interface SlowStep {
  readonly namespace_name: string;
  readonly task_name: string;
  readonly version: string;
  readonly step_name: string;
  readonly average_duration_seconds: number | null;
  readonly max_duration_seconds: number | null;
  readonly p50_duration_seconds: number | null;
  readonly p95_duration_seconds: number | null;
  readonly p99_duration_seconds: number | null;
  readonly execution_count: number;
  readonly completed_count: number;
  readonly error_count: number;
  readonly error_rate: number | null;
  readonly last_executed_at: Timestamp | null;
  readonly life: LifeParts;
  /** The mean run of the last attempt of executions that failed. */
  readonly average_failed_duration_seconds: number | null;
  readonly attempt_count: number;
  readonly failed_attempt_count: number;
  readonly reopened_count: number;
  readonly cancelled_count: number;
  readonly skipped_count: number;
  readonly blocked_count: number;
  readonly resolved_count: number;
  readonly running_count: number;
  readonly oldest_running_seconds: number | null;
  readonly total_time_seconds: number;
  readonly share_of_template_time: number | null;
  /** Of the time of its template's tasks that ended in the window; null while no path of theirs is known. */
  readonly critical_path_share: number | null;
}

export interface SlowTask {
  readonly namespace_name: string;
  readonly task_name: string;
  readonly version: string;
  readonly average_duration_seconds: number | null;
  readonly max_duration_seconds: number | null;
  readonly p50_duration_seconds: number | null;
  readonly p95_duration_seconds: number | null;
  readonly p99_duration_seconds: number | null;
  readonly execution_count: number;
  readonly completed_count: number;
  readonly average_step_count: number | null;
  readonly error_count: number;
  readonly error_rate: number | null;
  readonly last_executed_at: Timestamp | null;
  readonly failed_step_count: number;
  readonly cancelled_count: number;
  readonly resolved_count: number;
  readonly total_time_seconds: number;
}

/** What a recommendation says, as data. */
export interface Finding {
  readonly code: "high_error_rate" | "slow_step" | "slower_than_usual" | "pool_saturated";
  readonly severity: "warning" | "critical";
  /** The step it speaks of; null for the database pool. */
  readonly subject: Pick<SlowStep, "namespace_name" | "task_name" | "version" | "step_name"> | null;
  readonly evidence: Readonly<Record<string, number>>;
  readonly remedy: "add_workers" | "fix_handler" | "fix_retries" | "reshape_graph" | "raise_pool_size";
}

export interface BottleneckAnalysis extends AnswerFrame {
  readonly slow_steps: readonly SlowStep[];
  readonly slow_tasks: readonly SlowTask[];
  readonly resource_utilization: {
    readonly database_pool_utilization: number;
    readonly system_health: {
      readonly total_tasks: number;
      readonly tasks: Readonly<Record<TaskState, number>>;
      readonly total_steps: number;
      readonly steps: Readonly<Record<StepState, number>>;
    };
  };
  readonly recommendations: readonly string[];
  readonly findings: readonly Finding[];
  readonly percentile_relative_error: number;
  readonly limit: number;
  readonly min_executions: number;
  readonly sort: BottleneckSort;
}
