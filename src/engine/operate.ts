import type { Sql } from "../postgres/sql.ts";
import { resettableFrom, resolvableFrom, type StepState, type TaskState } from "../workflow/states.ts";
import { NotFoundError, WrongStateError } from "./errors.ts";

/** Who asked for a manual change, and why; both are stored with the transition. */
export interface Operator {
  readonly actor: string;
  readonly reason: string;
}

interface StepChange {
  task_state: TaskState | null;
  step_state: StepState | null;
  namespace_id: number | null;
  done: boolean;
}

/**
 * Cancels a task at once: all its unfinished steps end as cancelled, their leases are void.
 *
 * @throws NotFoundError, WrongStateError when it is over already
 */
export async function cancelTask(sql: Sql, taskId: string, by: Operator): Promise<void> {
  await changeTask(sql, "cancel_task", taskId, by, "only a pending or running task can be cancelled");
}

/**
 * Declares a failed task as dealt with.
 *
 * @throws NotFoundError, WrongStateError when it is not in error
 */
export async function resolveTask(sql: Sql, taskId: string, by: Operator): Promise<void> {
  await changeTask(sql, "resolve_task", taskId, by, "only a task in error can be resolved");
}

async function changeTask(
  sql: Sql,
  name: "cancel_task" | "resolve_task",
  taskId: string,
  by: Operator,
  rule: string,
): Promise<void> {
  const [row] = await sql.query<{ state: TaskState | null; done: boolean }>({
    text: `select state, done from tasker.${name}($1, $2, $3)`,
    values: [taskId, by.actor, by.reason],
  });
  const { state = null, done = false } = row ?? {};
  if (state === null) throw new NotFoundError(`There is no task ${taskId}`);
  if (!done) throw new WrongStateError(`Task ${taskId} is ${state}: ${rule}`);
}

/**
 * Starts a new life of a failed step: attempts from 0. Its task runs on; what was blocked below it waits again.
 *
 * @returns the id of the namespace in which a step became claimable
 * @throws NotFoundError, WrongStateError
 */
export async function resetStep(sql: Sql, stepId: string, by: Operator): Promise<number> {
  const [row] = await sql.query<StepChange>({
    text: "select task_state, step_state, namespace_id, done from tasker.reset_step($1, $2, $3)",
    values: [stepId, by.actor, by.reason],
  });
  return namespaceOf(
    row,
    stepId,
    `only a step in ${resettableFrom.join(", ")} of a task that is not final can be reset`,
  );
}

/**
 * Ends a step by hand; its dependants go on as if it had completed.
 *
 * @param output JSON text its dependants get as its result; null for none
 * @returns the id of the namespace in which steps may have become claimable
 * @throws NotFoundError, WrongStateError
 */
export async function resolveStep(sql: Sql, stepId: string, by: Operator, output: string | null): Promise<number> {
  const [row] = await sql.query<StepChange>({
    text: "select task_state, step_state, namespace_id, done from tasker.resolve_step($1, $2, $3, $4::jsonb)",
    values: [stepId, by.actor, by.reason, output],
  });
  return namespaceOf(
    row,
    stepId,
    `only a step in ${resolvableFrom.join(", ")} of a task that is not final can be resolved`,
  );
}

function namespaceOf(row: StepChange | undefined, stepId: string, rule: string): number {
  const { step_state = null, task_state = null, namespace_id = null, done = false } = row ?? {};
  if (step_state === null || task_state === null || namespace_id === null) {
    throw new NotFoundError(`There is no step ${stepId}`);
  }
  if (!done) throw new WrongStateError(`Step ${stepId} is ${step_state} and its task ${task_state}: ${rule}`);
  return namespace_id;
}
