import { type MigrateOptions, migrationStatus } from "./migrate.ts";
import { readRecordedObjects, readSchemaObjects, type SchemaObject } from "./schema-record.ts";
import type { Database } from "./sql.ts";

/** A way in which the schema is not what the migrations of this build made. */
export interface SchemaDrift {
  /** As in `function claim_steps(uuid, integer[], integer, integer)`, or `migration 0004-engine-settle.sql`. */
  readonly subject: string;
  readonly state: "pending" | "unknown" | "changed" | "missing" | "added" | "invalid" | "unrecorded";
}

/**
 * Compares the schema with what was there when the last migration had been applied (functions with their bodies and settings,
 * tables, columns, constraints, indexes, types and views), and the migrations with this build's. Reads the catalogue only.
 *
 * A database that was migrated by a build without that record begins it with its next `migrate`, with what is there then.
 */
export async function findSchemaDrift(database: Database, options: MigrateOptions = {}): Promise<SchemaDrift[]> {
  const { pending, unknown, changed } = await migrationStatus(database, options);
  const files = Object.entries({ pending, unknown, changed }).flatMap(([state, names]) =>
    // The names of the three lists are states.
    names.map((name) => ({ subject: `migration ${name}`, state: state as "pending" | "unknown" | "changed" })),
  );
  // One snapshot, in which a name is shown with its schema whatever the search path.
  const { recorded, present } = await database.transaction(
    async (sql) => ({ recorded: await readRecordedObjects(sql), present: await readSchemaObjects(sql) }),
    { isolation: "repeatable read", readOnly: true },
  );
  const invalid = await database.query<{ name: string }>({
    text: `select c.relname as name from pg_index i join pg_class c on c.oid = i.indexrelid
      where c.relnamespace = 'tasker'::regnamespace and not (i.indisvalid and i.indisready) order by 1`,
  });
  return [
    ...files,
    ...(recorded.length === 0
      ? [{ subject: "the schema", state: "unrecorded" as const }]
      : objectDrift(recorded, present)),
    ...invalid.map(({ name }) => ({ subject: `index ${name}`, state: "invalid" as const })),
  ];
}

function objectDrift(recorded: readonly SchemaObject[], present: readonly SchemaObject[]): SchemaDrift[] {
  const found = new Map(present.map((object) => [object.name, object.fingerprint]));
  const known = new Set(recorded.map(({ name }) => name));
  return [
    ...recorded.flatMap(({ name, fingerprint }): SchemaDrift[] => {
      const now = found.get(name);
      if (now === fingerprint) return [];
      return [{ subject: name, state: now === undefined ? "missing" : "changed" }];
    }),
    ...present
      .filter(({ name }) => !known.has(name))
      .map(({ name }): SchemaDrift => ({ subject: name, state: "added" })),
  ];
}
