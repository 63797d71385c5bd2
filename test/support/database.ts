import { createHash, randomBytes } from "node:crypto";

import { migrate } from "../../src/postgres/migrate.ts";
import { packagedMigrations, readMigrations } from "../../src/postgres/migration-files.ts";
import { openDatabase } from "../../src/postgres/pool.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { clusterUrl } from "./cluster.ts";

/** Key of the lock under which the run's template is made: the tests of all files run at the same time. */
const templateLock = 0x74656d706c61;

/** What registers the clean-up: a test's context, a suite's, or `node:test` itself for a whole file (`{ after }`). */
export interface Scope {
  after(hook: () => Promise<void>): void;
}

export interface TestDatabase {
  readonly url: string;
  readonly db: Database;
}

/**
 * A fresh database with all migrations, on the cluster of this run. It is closed and dropped after the scope.
 *
 * @param options.migrated false gives an empty one.
 */
export async function testDatabase(scope: Scope, options: { readonly migrated?: boolean } = {}): Promise<TestDatabase> {
  const cluster = await clusterUrl();
  const admin = openTestPool(cluster, 2);
  const name = `test_${process.pid}_${randomBytes(4).toString("hex")}`;
  const template = options.migrated === false ? "template0" : await migratedTemplate(admin, cluster);
  await admin.query({ text: `create database ${name} template ${template}` });
  const url = databaseUrl(cluster, name);
  const db = openTestPool(url, 20);
  scope.after(async () => {
    await db.close();
    await admin.query({ text: `drop database ${name} with (force)` });
    await admin.close();
  });
  return { url, db };
}

/** A pool as tests want it: small, quick to give up, and silent about connections that a test has cut. */
export function openTestPool(connectionString: string, max: number): Database {
  return openDatabase({
    connectionString,
    max,
    applicationName: "tasker tests",
    idleInTransactionTimeoutMs: 60_000,
    connectTimeoutMs: 30_000,
    onError: () => {},
  });
}

/** The name of a database that has the migrations as they are now; made by the first that asks for it. */
async function migratedTemplate(admin: Database, cluster: string): Promise<string> {
  const files = await readMigrations(packagedMigrations);
  const hash = createHash("sha256").update(files.map(({ name, checksum }) => name + checksum).join("\n"));
  const name = `tasker_template_${hash.digest("hex").slice(0, 16)}`;
  await admin.transaction(async (lock) => {
    await lock.query({ text: "select pg_advisory_xact_lock($1)", values: [templateLock] });
    const [made] = await lock.query<{ complete: boolean }>({
      text: "select datistemplate as complete from pg_database where datname = $1",
      values: [name],
    });
    if (made?.complete === true) return;
    // Not a template yet: left by a run that was killed, or by a migration that failed.
    if (made !== undefined) await admin.query({ text: `drop database ${name} with (force)` });
    await admin.query({ text: `create database ${name}` });
    const db = openTestPool(databaseUrl(cluster, name), 2);
    try {
      await migrate(db);
    } finally {
      await db.close();
    }
    await admin.query({ text: `alter database ${name} with is_template true allow_connections false` });
  });
  return name;
}

function databaseUrl(cluster: string, name: string): string {
  const url = new URL(cluster);
  url.pathname = `/${name}`;
  return url.href;
}
