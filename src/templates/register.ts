import { limitSteps } from "../engine/limits.ts";
import { notifyTemplate } from "../engine/wake-ups.ts";
import type { Database, Sql } from "../postgres/sql.ts";
import { definitionHash, graphHash, type TemplateSpec, templateLabel } from "../workflow/template.ts";
import { GraphChangedError, TooManyIdentitiesError } from "./errors.ts";

/** The analytics keep rollups per template and step; the number of those in use is bounded. */
export const identitiesMax = 20_000;

/** What a registered template is known by in the database. */
export interface RegisteredTemplate {
  readonly namedTaskId: number;
  readonly namespaceId: number;
  readonly revisionId: number;
  readonly revision: number;
  /** False when the very same definition was registered before. */
  readonly changed: boolean;
  /** The ids of its steps by name. */
  readonly stepIds: ReadonlyMap<string, number>;
}

interface CurrentRow {
  id: number;
  namespace_id: number;
  revision_id: number | null;
  revision: number | null;
  definition_hash: string | null;
  graph_hash: string | null;
}

/**
 * Registers one definition, in one transaction. Another definition than the current one becomes a new revision.
 *
 * @param inputSchema the input's JSON Schema, if there is one
 * @param allowGraphChange accept another graph under a version that has tasks (development)
 * @throws GraphChangedError, TooManyIdentitiesError; nothing is written then
 */
export function registerTemplate(
  database: Pick<Database, "transaction">,
  spec: TemplateSpec,
  inputSchema: unknown,
  allowGraphChange: boolean,
): Promise<RegisteredTemplate> {
  return database.transaction(async (sql) => {
    const current = (await lockTemplate(sql, spec)) ?? (await insertTemplate(sql, spec));
    const hash = definitionHash(spec, inputSchema);
    const base = { namedTaskId: current.id, namespaceId: current.namespace_id };
    if (current.revision_id !== null && current.revision !== null && current.definition_hash === hash) {
      const stepIds = await readStepIds(sql, current.id);
      return { ...base, revisionId: current.revision_id, revision: current.revision, changed: false, stepIds };
    }
    const graph = graphHash(spec);
    if (current.graph_hash !== null && current.graph_hash !== graph && !allowGraphChange) {
      await refuseIfUsed(sql, spec, current.id);
    }
    const stepIds = await insertSteps(sql, spec, current.id);
    const revision = (current.revision ?? 0) + 1;
    const revisionId = await insertRevision(sql, { spec, inputSchema, hash, graph, revision, stepIds, id: current.id });
    const limits = spec.steps.map((step) => ({
      namedStepId: stepIds.get(step.name),
      maxRunning: step.concurrency ?? null,
    }));
    await limitSteps(sql, current.id, limits);
    // With the commit, not after it: who registers may die before it has told anybody.
    await notifyTemplate(sql, spec);
    return { ...base, revisionId, revision, changed: true, stepIds };
  });
}

/**
 * Locks the template's row: registrations of one template follow each other, and wait for creations under way. What is
 * read comes after the lock, in a statement of its own: one that had to wait would join the row with what it saw before.
 */
async function lockTemplate(sql: Sql, spec: TemplateSpec): Promise<CurrentRow | undefined> {
  const [locked] = await sql.query<{ id: number }>({
    text: `select t.id from tasker.named_tasks t join tasker.task_namespaces n on n.id = t.namespace_id
      where n.name = $1 and t.name = $2 and t.version = $3 for update of t`,
    values: [spec.namespace, spec.name, spec.version],
  });
  if (locked === undefined) return undefined;
  const [row] = await sql.query<CurrentRow>({
    text: `select t.id, t.namespace_id, r.id as revision_id, r.revision, r.definition_hash, r.graph_hash
      from tasker.named_tasks t left join tasker.named_task_revisions r on r.id = t.current_revision_id where t.id = $1`,
    values: [locked.id],
  });
  return row;
}

async function insertTemplate(sql: Sql, spec: TemplateSpec): Promise<CurrentRow> {
  await sql.query({
    text: "insert into tasker.task_namespaces (name) values ($1) on conflict (name) do nothing",
    values: [spec.namespace],
  });
  const id = (await insertIdentities(sql, spec, [null])).get(null);
  await sql.query({
    text: `insert into tasker.named_tasks (id, namespace_id, name, version)
      select $1, n.id, $3, $4 from tasker.task_namespaces n where n.name = $2 on conflict do nothing`,
    values: [id, spec.namespace, spec.name, spec.version],
  });
  // Ours, or that of a registration which was faster.
  const row = await lockTemplate(sql, spec);
  if (row === undefined) throw new Error(`Template ${templateLabel(spec)} vanished while it was registered`);
  return row;
}

async function refuseIfUsed(sql: Sql, spec: TemplateSpec, id: number): Promise<void> {
  const used = await sql.query({
    text: "select 1 from tasker.current_counts(array[$1::integer]) where subject = 'task' limit 1",
    values: [id],
  });
  if (used.length > 0) {
    throw new GraphChangedError(
      `Template ${templateLabel(spec)} has tasks, and its steps or their order are not what they were: raise its version`,
    );
  }
}

async function insertSteps(sql: Sql, spec: TemplateSpec, namedTaskId: number): Promise<Map<string, number>> {
  const known = await readStepIds(sql, namedTaskId);
  const added = spec.steps.map((step) => step.name).filter((name) => !known.has(name));
  if (added.length > 0) {
    const identities = await insertIdentities(sql, spec, added);
    await sql.query({
      text: `insert into tasker.named_steps (id, named_task_id, name)
        select * from unnest($1::integer[], array_fill($2::integer, array[cardinality($1::integer[])]), $3::text[])`,
      values: [added.map((name) => identities.get(name)), namedTaskId, added],
    });
  }
  return readStepIds(sql, namedTaskId);
}

async function readStepIds(sql: Sql, namedTaskId: number): Promise<Map<string, number>> {
  const rows = await sql.query<{ id: number; name: string }>({
    text: "select id, name from tasker.named_steps where named_task_id = $1",
    values: [namedTaskId],
  });
  return new Map(rows.map((row) => [row.name, row.id]));
}

async function insertIdentities(
  sql: Sql,
  spec: TemplateSpec,
  stepNames: readonly (string | null)[],
): Promise<Map<string | null, number>> {
  const identity = [spec.namespace, spec.name, spec.version, stepNames];
  await sql.query({
    text: `insert into tasker.analytics_identities (namespace_name, task_name, version, step_name)
      select $1, $2, $3, s from unnest($4::text[]) s on conflict do nothing`,
    values: identity,
  });
  const [count] = await sql.query<{ n: number }>({
    text: "select count(*) as n from tasker.analytics_identities where unused_since is null",
  });
  if (count !== undefined && count.n > identitiesMax) {
    throw new TooManyIdentitiesError(
      `Template ${templateLabel(spec)} would make ${count.n} templates and steps in all; the analytics keep at most ${identitiesMax}`,
    );
  }
  const rows = await sql.query<{ id: number; step_name: string | null }>({
    text: `select id, step_name from tasker.analytics_identities i join unnest($4::text[]) s on s is not distinct from i.step_name
      where namespace_name = $1 and task_name = $2 and version = $3`,
    values: identity,
  });
  return new Map(rows.map((row) => [row.step_name, row.id]));
}

async function insertRevision(
  sql: Sql,
  definition: {
    readonly id: number;
    readonly spec: TemplateSpec;
    readonly inputSchema: unknown;
    readonly hash: string;
    readonly graph: string;
    readonly revision: number;
    readonly stepIds: ReadonlyMap<string, number>;
  },
): Promise<number> {
  const { spec } = definition;
  const position = new Map(spec.steps.map((step, index) => [step.name, index + 1]));
  const edges = spec.steps.flatMap((step) =>
    step.after.map((parent) => [position.get(parent), position.get(step.name)]),
  );
  const [row] = await sql.query<{ id: number }>({
    text: `with added as (
        insert into tasker.named_task_revisions
          (named_task_id, revision, definition, definition_hash, graph_hash, input_schema, step_ids, edge_parents, edge_children)
        values ($1, $2, $3::jsonb, $4, $5, $6::jsonb, $7, $8, $9) returning id, named_task_id)
      update tasker.named_tasks t set current_revision_id = added.id from added where t.id = added.named_task_id returning added.id`,
    values: [
      definition.id,
      definition.revision,
      JSON.stringify(spec),
      definition.hash,
      definition.graph,
      definition.inputSchema === undefined ? null : JSON.stringify(definition.inputSchema),
      spec.steps.map((step) => definition.stepIds.get(step.name)),
      edges.map(([parent]) => parent),
      edges.map(([, child]) => child),
    ],
  });
  if (row === undefined) throw new Error(`Template ${templateLabel(spec)} vanished while it was registered`);
  return row.id;
}
