import type { Database, Sql } from "./sql.ts";

/** Something in the schema, by what it is and is called, with a fingerprint of what it does. */
export interface SchemaObject {
  readonly name: string;
  readonly fingerprint: string;
}

/** Made by the migrator, as `schema_migrations` is. */
export const schemaObjectsTable = `
  create table if not exists tasker.schema_objects (name text primary key, fingerprint text not null)`;

/**
 * What the schema consists of: daily partitions come and go and are left out, and so are the migrator's own tables. Fingerprints are
 * the same in every version of Postgres: expressions that it prints in words of its own (checks, defaults) are left out.
 */
export async function readSchemaObjects(sql: Sql): Promise<SchemaObject[]> {
  await sql.query({ text: "set local search_path = pg_catalog" });
  return sql.query({
    text: `with tables as (
        select oid, relname, relkind from pg_class where relnamespace = 'tasker'::regnamespace and not relispartition
          and relkind in ('r', 'p', 'v', 'm') and relname not in ('schema_migrations', 'schema_objects'))
      select name, md5(what) as fingerprint from (
        select 'function ' || proname || '(' || pg_get_function_identity_arguments(oid) || ')' as name,
            concat_ws('|', prosrc, proconfig, provolatile, prosecdef, proisstrict, prorettype::regtype, pg_get_function_result(oid)) as what
          from pg_proc where pronamespace = 'tasker'::regnamespace
        union all
        select case relkind when 'v' then 'view ' when 'm' then 'view ' else 'table ' end || relname, relkind::text from tables
        union all
        select 'column ' || relname || '.' || attname, format_type(atttypid, atttypmod) || attnotnull::text
          from tables join pg_attribute a on attrelid = tables.oid where attnum > 0 and not attisdropped
        union all
        select 'constraint ' || conname || ' on ' || relname,
            contype::text || case when contype = 'c' then '' else pg_get_constraintdef(c.oid) end || convalidated::text
          from tables join pg_constraint c on conrelid = tables.oid where contype in ('c', 'f', 'p', 'u')
        union all
        select 'index ' || i.relname || ' on ' || tables.relname, pg_get_indexdef(i.oid)
          from tables join pg_index x on indrelid = tables.oid join pg_class i on i.oid = indexrelid
        union all
        select 'type ' || typname, (select string_agg(enumlabel, '|' order by enumsortorder) from pg_enum where enumtypid = t.oid)
          from pg_type t where typnamespace = 'tasker'::regnamespace and typtype = 'e') o
      order by name collate "C"`,
  });
}

/** What the migrator has recorded; nothing where it has not, or never ran. */
export async function readRecordedObjects(sql: Sql): Promise<SchemaObject[]> {
  const [found] = await sql.query<{ exists: boolean }>({
    text: "select to_regclass('tasker.schema_objects') is not null as exists",
  });
  if (found?.exists !== true) return [];
  return sql.query({ text: 'select name, fingerprint from tasker.schema_objects order by name collate "C"' });
}

/**
 * Keeps the record of the objects true while migrations are applied, each in the transaction of its migration: of objects that it
 * changed and of no others, so that what was changed by hand before still shows. A record that is empty, as on a new database, is
 * written once at the end.
 */
export class SchemaKeeper {
  #before: readonly SchemaObject[];
  readonly #isEmpty: boolean;

  private constructor(before: readonly SchemaObject[], isEmpty: boolean) {
    this.#before = before;
    this.#isEmpty = isEmpty;
  }

  static async open(db: Database): Promise<SchemaKeeper> {
    return db.transaction(async (sql) => {
      const isEmpty = (await readRecordedObjects(sql)).length === 0;
      return new SchemaKeeper(isEmpty ? [] : await readSchemaObjects(sql), isEmpty);
    });
  }

  /** To be called in the transaction of a migration, after it. */
  async applied(sql: Sql): Promise<void> {
    if (this.#isEmpty) return;
    const after = await readSchemaObjects(sql);
    await writeChanges(sql, this.#before, after);
    this.#before = after;
  }

  async close(db: Database): Promise<void> {
    if (this.#isEmpty) await db.transaction(async (sql) => writeChanges(sql, [], await readSchemaObjects(sql)));
  }
}

async function writeChanges(sql: Sql, before: readonly SchemaObject[], after: readonly SchemaObject[]): Promise<void> {
  const was = new Map(before.map(({ name, fingerprint }) => [name, fingerprint]));
  const is = new Set(after.map(({ name }) => name));
  const written = after.filter(({ name, fingerprint }) => was.get(name) !== fingerprint);
  const gone = before.filter(({ name }) => !is.has(name)).map(({ name }) => name);
  await sql.query({ text: "delete from tasker.schema_objects where name = any($1::text[])", values: [gone] });
  await sql.query({
    text: `insert into tasker.schema_objects (name, fingerprint) select * from unnest($1::text[], $2::text[])
      on conflict (name) do update set fingerprint = excluded.fingerprint`,
    values: [written.map(({ name }) => name), written.map(({ fingerprint }) => fingerprint)],
  });
}
