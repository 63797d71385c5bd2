import { TaskerError } from "../workflow/errors.ts";

/** Which templates an answer is about; what is not given is not restricted. */
export interface AnalyticsFilter {
  readonly namespace?: string | undefined;
  readonly task_name?: string | undefined;
  readonly version?: string | undefined;
}

/** `hours` back from now; 0 means all history. */
export interface PerformanceParameters extends AnalyticsFilter {
  readonly hours: number;
}

export const bottleneckSorts = [
  "average_duration",
  "p95_duration",
  "total_time",
  "critical_path",
  "queue_wait",
  "retry",
  "error_rate",
] as const;
export type BottleneckSort = (typeof bottleneckSorts)[number];

export interface BottleneckParameters extends AnalyticsFilter {
  readonly limit: number;
  /** Steps and tasks with fewer executions in the window are left out. */
  readonly min_executions: number;
  readonly hours: number;
  readonly sort: BottleneckSort;
}

/** The ranges of the parameters, their ends included. */
export const parameterRanges = Object.freeze({
  hours: { min: 0, max: 8760 },
  limit: { min: 1, max: 100 },
  min_executions: { min: 1, max: 1_000_000 },
});

export const defaultPerformance: PerformanceParameters = Object.freeze({ hours: 24 });
export const defaultBottlenecks: BottleneckParameters = Object.freeze({
  limit: 10,
  min_executions: 5,
  hours: 24,
  sort: "average_duration",
});

/** A parameter outside its range. The message names both. */
export class InvalidParameterError extends TaskerError {
  readonly code = "invalid_parameter";
}

/** @throws InvalidParameterError */
export function checkParameters(parameters: Partial<BottleneckParameters>): void {
  for (const name of ["hours", "limit", "min_executions"] as const) {
    const value = parameters[name];
    const { min, max } = parameterRanges[name];
    if (value !== undefined && !(Number.isInteger(value) && value >= min && value <= max)) {
      throw new InvalidParameterError(`${name} must be a whole number from ${min} to ${max}, got ${value}`);
    }
  }
  const { sort } = parameters;
  if (sort !== undefined && !bottleneckSorts.includes(sort)) {
    throw new InvalidParameterError(`sort must be one of ${bottleneckSorts.join(", ")}, got ${sort}`);
  }
}
