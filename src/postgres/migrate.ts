import { type Clock, sleep, systemClock } from "../runtime/clock.ts";
import { MigrationError } from "./migration-error.ts";
import { type MigrationFile, packagedMigrations, readMigrations } from "./migration-files.ts";
import { SchemaKeeper, schemaObjectsTable } from "./schema-record.ts";
import { splitStatements } from "./split-statements.ts";
import type { Database, Sql } from "./sql.ts";
import { sqlState, sqlStateOf } from "./sqlstate.ts";

export { MigrationError } from "./migration-error.ts";

/** Key of the advisory lock that lets one migrator at a time work in a database: "tasker" in ASCII. */
const migrationLock = 0x7461736b6572;
const lockPollMs = 50;

export interface MigrateOptions {
  /** Folder of `NNNN-name.sql` files. Default: the package's own. */
  readonly directory?: string;
  readonly clock?: Clock;
}

/** Names of files, each in the order of the versions. */
export interface MigrationStatus {
  /** Not applied yet. */
  readonly pending: string[];
  /** Applied by another build; this one does not have them. */
  readonly unknown: string[];
  /** Applied with another text than the file has now. */
  readonly changed: string[];
}

/**
 * Applies the pending migrations in order, forward only, each in a transaction of its own together with its record in
 * `tasker.schema_migrations`. One migrator works at a time; another one waits and finds nothing left to do.
 *
 * A file whose first line is `-- no transaction` runs statement by statement and is recorded at its end. When it fails half
 * way it runs again from its beginning, so its statements must stand that (`if not exists`, `if exists`). The
 * database should be opened without a statement timeout, which only files in a transaction lift by themselves.
 *
 * @returns the names of the files that this call applied.
 * @throws MigrationError `migration_changed`, `migration_unknown` (nothing was applied then), `migration_failed` (files
 *   before the named one stay applied), `migration_file_invalid`, `migration_needs_two_connections`.
 */
export async function migrate(db: Database, options: MigrateOptions = {}): Promise<{ applied: string[] }> {
  const files = await readMigrations(options.directory ?? packagedMigrations);
  if (db.usage().max < 2) {
    throw new MigrationError(
      "migration_needs_two_connections",
      files[0]?.name ?? "runner",
      "needs a pool of two connections: one holds the lock, one works",
    );
  }
  return db.transaction(async (lock) => {
    await lock.query({ text: "set local idle_in_transaction_session_timeout = 0" });
    await acquireLock(lock, options.clock ?? systemClock);
    await createRecord(db);
    const { pending, unknown, changed } = await compare(db, files);
    for (const name of changed) throw changedError(name);
    for (const name of unknown) {
      throw new MigrationError(
        "migration_unknown",
        name,
        "was applied to this database by a newer build: use that build, migrations do not go back",
      );
    }
    const applied: string[] = [];
    const keeper = await SchemaKeeper.open(db);
    for (const file of files.filter(({ name }) => pending.includes(name))) {
      await apply(db, file, keeper);
      applied.push(file.name);
    }
    await keeper.close(db);
    return { applied };
  });
}

/** Compares the database with the migrations of this build. Changes nothing, and works on a database without any. */
export async function migrationStatus(db: Sql, options: MigrateOptions = {}): Promise<MigrationStatus> {
  return compare(db, await readMigrations(options.directory ?? packagedMigrations));
}

/**
 * Refuses a database that this build cannot work with. Migrations of a newer build are accepted: while a new version is rolled
 * out, processes of the old one still start.
 *
 * @throws MigrationError `migration_pending` (with the command to type) or `migration_changed`.
 */
export async function requireMigrated(db: Sql, options: MigrateOptions = {}): Promise<void> {
  const { pending, changed } = await migrationStatus(db, options);
  for (const name of changed) throw changedError(name);
  const [first, ...more] = pending;
  if (first === undefined) return;
  const others = more.length === 0 ? "" : ` (and ${more.length} more)`;
  throw new MigrationError("migration_pending", first, `is not applied to this database${others}. Run: tasker migrate`);
}

/**
 * Takes the lock without holding a snapshot, for which a `create index concurrently` would wait for ever, be it ours or that of
 * the migrator which has the lock. Hence it asks again instead of waiting inside of `pg_advisory_xact_lock`, and the key is
 * part of the text: a statement with values leaves a portal open, and that one a snapshot, until the next statement.
 */
async function acquireLock(lock: Sql, clock: Clock): Promise<void> {
  const text = `select pg_try_advisory_xact_lock(${migrationLock}) as acquired`;
  for (;;) {
    const [row] = await lock.query<{ acquired: boolean }>({ text });
    if (row?.acquired === true) return;
    await sleep(clock, lockPollMs);
  }
}

async function createRecord(db: Database): Promise<void> {
  await db.transaction((sql) =>
    sql.query({
      text: `
        create schema if not exists tasker;
        create table if not exists tasker.schema_migrations (
          version int primary key,
          name text not null,
          checksum text not null,
          applied_at timestamptz(6) not null default clock_timestamp()
        );
        ${schemaObjectsTable}`,
    }),
  );
}

async function compare(sql: Sql, files: readonly MigrationFile[]): Promise<MigrationStatus> {
  const applied = new Map((await readRecord(sql)).map((row) => [row.version, row]));
  const known = new Set(files.map(({ version }) => version));
  return {
    pending: files.filter(({ version }) => !applied.has(version)).map(({ name }) => name),
    unknown: [...applied.values()].filter(({ version }) => !known.has(version)).map(({ name }) => name),
    changed: files
      .filter(({ version, checksum }) => (applied.get(version)?.checksum ?? checksum) !== checksum)
      .map(({ name }) => name),
  };
}

async function readRecord(sql: Sql): Promise<{ version: number; name: string; checksum: string }[]> {
  try {
    return await sql.query({ text: "select version, name, checksum from tasker.schema_migrations order by version" });
  } catch (error) {
    const state = sqlStateOf(error);
    if (state === sqlState.undefined_table || state === sqlState.invalid_schema_name) return [];
    throw error;
  }
}

async function apply(db: Database, file: MigrationFile, keeper: SchemaKeeper): Promise<void> {
  try {
    if (file.inTransaction) {
      await db.transaction(async (sql) => {
        await sql.query({ text: "set local statement_timeout = 0" });
        await sql.query({ text: file.text });
        await record(sql, file, keeper);
      });
    } else {
      for (const text of splitStatements(file.text)) await db.query({ text });
      await db.transaction((sql) => record(sql, file, keeper));
    }
  } catch (error) {
    throw new MigrationError("migration_failed", file.name, `failed: ${describe(error, file)}`, { cause: error });
  }
}

async function record(sql: Sql, file: MigrationFile, keeper: SchemaKeeper): Promise<void> {
  await sql.query({
    text: "insert into tasker.schema_migrations (version, name, checksum) values ($1, $2, $3)",
    values: [file.version, file.name, file.checksum],
  });
  await keeper.applied(sql);
}

function changedError(name: string): MigrationError {
  return new MigrationError(
    "migration_changed",
    name,
    "was changed after it had been applied to this database: restore the file and put the change into a new one",
  );
}

/** The message, with the line of the file when Postgres pointed into it. */
function describe(error: unknown, file: MigrationFile): string {
  if (!(error instanceof Error)) return String(error);
  const position = "position" in error ? Number(error.position) : NaN;
  if (!file.inTransaction || !Number.isInteger(position)) return error.message;
  return `${error.message} (line ${file.text.slice(0, position).split("\n").length})`;
}
