import type { PinnedRevision } from "../engine/create-tasks.ts";
import type { Sql } from "../postgres/sql.ts";
import type { TemplateName } from "../workflow/template.ts";

/** The current revision of a template, as creating a task needs it. */
export interface CurrentRevision extends PinnedRevision {
  readonly namespaceId: number;
}

/** Reads the current revision of a template; null when no such template is registered. */
export async function readCurrentRevision(sql: Sql, template: TemplateName): Promise<CurrentRevision | null> {
  const [row] = await sql.query<CurrentRevision>({
    name: "current_revision",
    text: `select t.id as "namedTaskId", t.namespace_id as "namespaceId", r.id as "revisionId", cardinality(r.step_ids) as "stepCount"
      from tasker.named_tasks t
      join tasker.task_namespaces n on n.id = t.namespace_id
      join tasker.named_task_revisions r on r.id = t.current_revision_id
      where n.name = $1 and t.name = $2 and t.version = $3`,
    values: [template.namespace, template.name, template.version],
  });
  return row ?? null;
}

/** Which revision of each registered template is current. There are as many as the analytics allow identities, at most. */
export function readCurrentRevisionIds(
  sql: Sql,
): Promise<(TemplateName & { readonly revisionId: CurrentRevision["revisionId"] })[]> {
  return sql.query({
    text: `select n.name as namespace, t.name, t.version, t.current_revision_id as "revisionId"
      from tasker.named_tasks t join tasker.task_namespaces n on n.id = t.namespace_id
      where t.current_revision_id is not null`,
  });
}

export function encodeRevision(revision: CurrentRevision): string {
  return JSON.stringify(revision);
}

/** Null for what is not ours, or of another version of this program. */
export function decodeRevision(text: string): CurrentRevision | null {
  try {
    const value: unknown = JSON.parse(text);
    return isRevision(value) ? value : null;
  } catch {
    return null;
  }
}

function isRevision(value: unknown): value is CurrentRevision {
  if (typeof value !== "object" || value === null) return false;
  const fields: Partial<Record<keyof CurrentRevision, unknown>> = value;
  return [fields.namedTaskId, fields.namespaceId, fields.revisionId, fields.stepCount].every(Number.isInteger);
}
