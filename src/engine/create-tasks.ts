import type { Sql } from "../postgres/sql.ts";
import { newId } from "./ids.ts";

/** What creation needs to know of a template's current revision. */
export interface PinnedRevision {
  readonly namedTaskId: number;
  readonly revisionId: number;
  readonly stepCount: number;
}

/** A task to create. */
export interface NewTask {
  /** JSON text. */
  readonly input: string;
  /** Whether the template's schema has accepted the input; otherwise the worker asks it before the first step. */
  readonly inputChecked: boolean;
  readonly idempotencyKey?: string | undefined;
  readonly correlationId?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  /** Higher runs first; -32768 to 32767. */
  readonly priority?: number | undefined;
  /** RFC 3339; its steps are not claimed before. */
  readonly runAt?: string | undefined;
}

/** `existing`: its idempotency key was used before, with the same input, and `id` is the first task's; `conflict`: with another. */
export interface CreatedTask {
  readonly id: string;
  readonly outcome: "created" | "existing" | "conflict";
}

/** How many steps one call creates at most: what a statement carries stays bounded. */
export const createdStepsMax = 100_000;

/**
 * Creates tasks of one template in one statement, which also checks that the revision is the current one.
 *
 * @returns a result per task in their order; null, and nothing was written, when the revision is not current any more
 */
export async function createTasks(
  sql: Sql,
  revision: PinnedRevision,
  tasks: readonly NewTask[],
): Promise<CreatedTask[] | null> {
  if (tasks.length * revision.stepCount > createdStepsMax) {
    throw new RangeError(
      `${tasks.length} tasks of ${revision.stepCount} steps are too many for one call; at most ${createdStepsMax} steps are allowed`,
    );
  }
  const stepIds = Array.from({ length: tasks.length * revision.stepCount }, newId);
  const rows = await sql.query<{
    ordinal: number;
    task_id: string;
    outcome: CreatedTask["outcome"] | "stale_revision";
  }>({
    name: "create_tasks",
    text: "select ordinal, task_id, outcome from tasker.create_tasks($1, $2, $3::jsonb, $4::uuid[])",
    values: [revision.namedTaskId, revision.revisionId, `[${tasks.map(encodeTask).join(",")}]`, stepIds],
  });
  const created: CreatedTask[] = [];
  for (const row of rows) {
    if (row.outcome === "stale_revision") return null;
    created.push({ id: row.task_id, outcome: row.outcome });
  }
  return created;
}

/** The input is JSON text already: it is put in as it is, not parsed and printed again. */
function encodeTask(task: NewTask): string {
  const rest = JSON.stringify({
    id: newId(),
    input_checked: task.inputChecked,
    idempotency_key: task.idempotencyKey,
    correlation_id: task.correlationId,
    tags: task.tags,
    priority: task.priority,
    run_at: task.runAt,
  });
  return `${rest.slice(0, -1)},"input":${task.input}}`;
}
