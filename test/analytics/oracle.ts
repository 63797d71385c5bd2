/**
 * A second implementation of the definitions in docs/analytics.md: plain TypeScript over a list of everything that ended, with
 * nothing of the product's. Times are microseconds since 1970.
 */

export interface Template {
  readonly namespace_name: string;
  readonly task_name: string;
  readonly version: string;
}

/** The end of a life of a step. */
export interface StepEnd extends Template {
  readonly step_name: string;
  readonly endedAtUs: number;
  readonly dependencyWaitUs: number;
  readonly queueWaitUs: number;
  readonly retryUs: number;
  readonly runUs: number;
  readonly attempts: number;
  readonly failedAttempts: number;
  readonly outcome: string;
  readonly reopened: boolean;
}

/** The end of a life of a task. */
export interface TaskEnd extends Template {
  readonly endedAtUs: number;
  readonly durationUs: number;
  readonly stepCount: number;
  readonly failedStepCount: number;
  readonly outcome: string;
}

/** A task that was accepted, and the states that it and its steps are in now. */
export interface AcceptedTask extends Template {
  readonly createdAtUs: number;
  readonly state: string;
  readonly stepStates: readonly string[];
}

export interface History {
  readonly nowUs: number;
  readonly tasks: readonly AcceptedTask[];
  readonly stepEnds: readonly StepEnd[];
  readonly taskEnds: readonly TaskEnd[];
}

export interface Question {
  readonly hours: number;
  readonly namespace?: string | undefined;
  readonly task_name?: string | undefined;
  readonly version?: string | undefined;
}

const minuteUs = 60e6;
const hourUs = 3600e6;

/** What an answer speaks of: the filter and the window applied. */
export class Window {
  readonly startUs: number;
  readonly tasks: readonly AcceptedTask[];
  readonly stepEnds: readonly StepEnd[];
  readonly taskEnds: readonly TaskEnd[];
  /** Its length in hours, for rates by the hour. */
  readonly hours: number;

  constructor({ nowUs, tasks, stepEnds, taskEnds }: History, question: Question) {
    const isMeant = (of: Template): boolean =>
      (question.namespace === undefined || of.namespace_name === question.namespace) &&
      (question.task_name === undefined || of.task_name === question.task_name) &&
      (question.version === undefined || of.version === question.version);
    this.tasks = tasks.filter(isMeant);
    const firstUs = this.tasks.length === 0 ? nowUs : min(this.tasks.map(({ createdAtUs }) => createdAtUs));
    const unit = question.hours <= 48 ? minuteUs : hourUs;
    const back = nowUs - question.hours * hourUs;
    this.startUs = question.hours === 0 ? firstUs : back - (back % unit);
    const isInside = ({ endedAtUs }: { readonly endedAtUs: number }): boolean => endedAtUs >= this.startUs;
    this.stepEnds = stepEnds.filter((end) => isMeant(end) && isInside(end));
    this.taskEnds = taskEnds.filter((end) => isMeant(end) && isInside(end));
    const countedFromUs = this.tasks.length === 0 ? this.startUs : Math.max(this.startUs, firstUs);
    this.hours = Math.max(minuteUs, nowUs - countedFromUs) / hourUs;
  }
}

/** The figures of some steps' ends. */
export interface StepFigures {
  readonly execution_count: number;
  readonly completed_count: number;
  readonly error_count: number;
  readonly error_rate: number | null;
  readonly average_duration_seconds: number | null;
  readonly average_failed_duration_seconds: number | null;
  readonly life: Readonly<
    Record<"dependency_wait_seconds" | "queue_wait_seconds" | "retry_seconds" | "run_seconds", number | null>
  >;
  readonly attempt_count: number;
  readonly failed_attempt_count: number;
  readonly reopened_count: number;
  readonly cancelled_count: number;
  readonly skipped_count: number;
  readonly blocked_count: number;
  readonly resolved_count: number;
  readonly total_time_seconds: number;
  readonly lastUs: number | null;
  /** Of those that completed, in seconds and in order. */
  readonly durations: readonly number[];
}

export function stepFigures(ends: readonly StepEnd[]): StepFigures {
  const completed = ends.filter(({ outcome }) => outcome === "complete");
  const failed = ends.filter(({ outcome }) => outcome === "error");
  const executions = [...completed, ...failed];
  const counted = (outcome: string): number => ends.filter((end) => end.outcome === outcome).length;
  const average = (of: readonly StepEnd[], part: (end: StepEnd) => number): number | null => mean(of.map(part));
  return {
    execution_count: executions.length,
    completed_count: completed.length,
    error_count: failed.length,
    error_rate: share(failed.length, executions.length),
    average_duration_seconds: average(completed, (end) => end.runUs / 1e6),
    average_failed_duration_seconds: average(failed, (end) => end.runUs / 1e6),
    life: {
      dependency_wait_seconds: average(completed, (end) => end.dependencyWaitUs / 1e6),
      queue_wait_seconds: average(completed, (end) => end.queueWaitUs / 1e6),
      retry_seconds: average(completed, (end) => end.retryUs / 1e6),
      run_seconds: average(completed, (end) => end.runUs / 1e6),
    },
    attempt_count: sum(executions.map(({ attempts }) => attempts)),
    failed_attempt_count: sum(executions.map(({ failedAttempts }) => failedAttempts)),
    reopened_count: executions.filter(({ reopened }) => reopened).length,
    cancelled_count: counted("cancelled"),
    skipped_count: counted("skipped"),
    blocked_count: counted("blocked"),
    resolved_count: counted("resolved_manually"),
    total_time_seconds: sum(executions.map(({ runUs }) => runUs)) / 1e6,
    lastUs: executions.length === 0 ? null : max(executions.map(({ endedAtUs }) => endedAtUs)),
    durations: completed.map(({ runUs }) => runUs / 1e6).toSorted((a, b) => a - b),
  };
}

/** The figures of some tasks' ends. */
export interface TaskFigures {
  readonly execution_count: number;
  readonly completed_count: number;
  readonly error_count: number;
  readonly error_rate: number | null;
  readonly completion_rate: number | null;
  readonly average_duration_seconds: number | null;
  readonly average_step_count: number | null;
  readonly failed_step_count: number;
  readonly cancelled_count: number;
  readonly resolved_count: number;
  readonly total_time_seconds: number;
  readonly lastUs: number | null;
  readonly durations: readonly number[];
}

export function taskFigures(ends: readonly TaskEnd[]): TaskFigures {
  const completed = ends.filter(({ outcome }) => outcome === "complete");
  const failed = ends.filter(({ outcome }) => outcome === "error");
  const executions = [...completed, ...failed];
  return {
    execution_count: executions.length,
    completed_count: completed.length,
    error_count: failed.length,
    error_rate: share(failed.length, executions.length),
    completion_rate: share(completed.length, executions.length),
    average_duration_seconds: mean(completed.map(({ durationUs }) => durationUs / 1e6)),
    average_step_count: mean(executions.map(({ stepCount }) => stepCount)),
    failed_step_count: sum(executions.map(({ failedStepCount }) => failedStepCount)),
    cancelled_count: ends.filter(({ outcome }) => outcome === "cancelled").length,
    resolved_count: ends.filter(({ outcome }) => outcome === "resolved_manually").length,
    total_time_seconds: sum(executions.map(({ durationUs }) => durationUs)) / 1e6,
    lastUs: executions.length === 0 ? null : max(executions.map(({ endedAtUs }) => endedAtUs)),
    durations: completed.map(({ durationUs }) => durationUs / 1e6).toSorted((a, b) => a - b),
  };
}

/** Ends by what they are ends of, with its name in parts. */
export function grouped<End extends Template>(
  ends: readonly End[],
  nameOf: (end: End) => readonly string[],
): ReadonlyMap<string, readonly End[]> {
  const groups = new Map<string, End[]>();
  for (const end of ends) {
    const key = nameOf(end).join("/");
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [end]);
    else group.push(end);
  }
  return groups;
}

/** The value at a percentile by nearest rank: the first that at least this share of the values does not exceed. */
export function percentile(sorted: readonly number[], percent: number): number | null {
  return sorted.find((_, index) => (index + 1) * 100 >= percent * sorted.length) ?? null;
}

export function share(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole;
}

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : sum(values) / values.length;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function min(values: readonly number[]): number {
  return values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
}

function max(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
}
