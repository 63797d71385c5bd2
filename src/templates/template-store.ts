import type { ConstrainedCache } from "../cache/constraints.ts";
import type { CacheKeys } from "../cache/keys.ts";
import type { PinnedRevision } from "../engine/create-tasks.ts";
import type { Sql } from "../postgres/sql.ts";
import type { TemplateName } from "../workflow/template.ts";

/** The current revision of a template, as creating a task needs it. */
export interface CurrentRevision extends PinnedRevision {
  readonly namespaceId: number;
}

/**
 * Finds the current revision of templates: cache-aside, and never by the memory of this process.
 *
 * What the cache holds may be old. It does no harm: the statement that creates a task checks the revision, and a mismatch
 * evicts the entry. Reads are not shared between callers either; that would be serving from memory.
 */
export class TemplateStore {
  readonly #cache: ConstrainedCache<"templates">;
  readonly #keys: CacheKeys;
  readonly #ttlMs: number;

  constructor(options: {
    readonly cache: ConstrainedCache<"templates">;
    readonly keys: CacheKeys;
    readonly ttlMs: number;
  }) {
    this.#cache = options.cache;
    this.#keys = options.keys;
    this.#ttlMs = options.ttlMs;
  }

  /** The current revision; null when no such template is registered (which is not cached). */
  async current(sql: Sql, template: TemplateName): Promise<CurrentRevision | null> {
    const key = this.#keyOf(template);
    const cached = decodeRevision(await this.#cache.get(key));
    if (cached !== null) return cached;
    const [row] = await sql.query<CurrentRevision>({
      name: "current_revision",
      text: `select t.id as "namedTaskId", t.namespace_id as "namespaceId", r.id as "revisionId", cardinality(r.step_ids) as "stepCount"
        from tasker.named_tasks t
        join tasker.task_namespaces n on n.id = t.namespace_id
        join tasker.named_task_revisions r on r.id = t.current_revision_id
        where n.name = $1 and t.name = $2 and t.version = $3`,
      values: [template.namespace, template.name, template.version],
    });
    if (row === undefined) return null;
    await this.#cache.set(key, JSON.stringify(row), this.#ttlMs);
    return row;
  }

  #keyOf({ namespace, name, version }: TemplateName): string {
    return this.#keys.template(namespace, name, version);
  }

  /** Forgets what the cache holds of a template. */
  async evict(template: TemplateName): Promise<void> {
    await this.#cache.delete(this.#keyOf(template));
  }
}

function decodeRevision(text: string | undefined): CurrentRevision | null {
  if (text === undefined) return null;
  try {
    const value: unknown = JSON.parse(text);
    return isRevision(value) ? value : null;
  } catch {
    return null; // Not ours, or of another version of this program: a miss.
  }
}

function isRevision(value: unknown): value is CurrentRevision {
  if (typeof value !== "object" || value === null) return false;
  const fields: Partial<Record<keyof CurrentRevision, unknown>> = value;
  return [fields.namedTaskId, fields.namespaceId, fields.revisionId, fields.stepCount].every(Number.isInteger);
}
