/**
 * The states of a task.
 *
 * | from                 | to                  | caused by                                              |
 * |----------------------|---------------------|--------------------------------------------------------|
 * | (none)               | pending             | creation                                               |
 * | pending              | in_progress         | the first claim of one of its steps                    |
 * | pending, in_progress | complete            | its last step ended well                               |
 * | pending, in_progress | error               | a step failed for good and nothing else of it can run  |
 * | pending, in_progress | cancelled           | an operator                                            |
 * | error                | in_progress         | an operator resets or resolves a step (a new life)     |
 * | error                | resolved_manually   | an operator declares it dealt with                     |
 */
export const taskStates = ["pending", "in_progress", "complete", "error", "cancelled", "resolved_manually"] as const;
export type TaskState = (typeof taskStates)[number];

/**
 * The states of a step.
 *
 * | from                                             | to                | caused by                                   |
 * |--------------------------------------------------|-------------------|---------------------------------------------|
 * | (none)                                           | pending, enqueued | creation: with and without parents          |
 * | pending                                          | enqueued          | the last of its parents ended well          |
 * | enqueued, waiting_for_retry                      | in_progress       | a worker claims it (a new attempt)          |
 * | in_progress                                      | complete          | its handler returned                        |
 * | in_progress                                      | waiting_for_retry | its attempt failed and another is left      |
 * | in_progress                                      | error             | its last attempt failed, or permanently     |
 * | in_progress                                      | enqueued          | a stopping worker gave it back              |
 * | pending                                          | blocked           | its task ended in error                     |
 * | pending, enqueued, in_progress, waiting_for_retry | cancelled        | its task is cancelled                       |
 * | pending, enqueued, waiting_for_retry, error      | resolved_manually | an operator                                 |
 * | error                                            | enqueued          | an operator resets it (a new life)          |
 * | blocked                                          | pending           | a step above it is reset or resolved (a new life) |
 *
 * `skipped` is reserved for branches that a decision leaves out; nothing leads there yet.
 */
export const stepStates = [
  "pending",
  "enqueued",
  "in_progress",
  "waiting_for_retry",
  "complete",
  "error",
  "cancelled",
  "resolved_manually",
  "skipped",
  "blocked",
] as const;
export type StepState = (typeof stepStates)[number];

/** The counters on a task's row that decide whether it ends. */
export interface TaskCounters {
  /** Steps in no final state. */
  readonly unfinished: number;
  /** Of those: enqueued, in progress or waiting for a retry. */
  readonly runnable: number;
  /** Steps in `error`. */
  readonly failed: number;
}

/** How a task with these counters ends, or null while something of it can still run. `tasker.end_tasks` stores the same rule. */
export function taskEnd(counters: TaskCounters): "complete" | "error" | null {
  if (counters.runnable > 0) return null;
  if (counters.failed > 0) return "error";
  return counters.unfinished === 0 ? "complete" : null;
}

/** Whether a task in this state is over (an `error` may be reopened by an operator). */
export function isTaskEnded(state: TaskState): boolean {
  return state !== "pending" && state !== "in_progress";
}

export const resettableFrom: readonly StepState[] = ["error"];
export const resolvableFrom: readonly StepState[] = ["pending", "enqueued", "waiting_for_retry", "error"];
