import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";

import { migrate, MigrationError, migrationStatus, requireMigrated } from "../../src/postgres/migrate.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { sqlState, sqlStateOf } from "../../src/postgres/sqlstate.ts";
import { openTestPool, testDatabase } from "../support/database.ts";

type Files = Readonly<Record<string, string>>;

interface Setup {
  readonly db: Database;
  readonly url: string;
  readonly directory: string;
  readonly write: (files: Files) => Promise<void>;
}

async function setup(t: TestContext, files: Files): Promise<Setup> {
  const directory = await mkdtemp(join(tmpdir(), "tasker-migrations-"));
  t.after(() => rm(directory, { recursive: true }));
  const write = async (more: Files): Promise<void> => {
    for (const [name, text] of Object.entries(more)) await writeFile(join(directory, name), text);
  };
  await write(files);
  return { ...(await testDatabase(t, { migrated: false })), directory, write };
}

async function words(db: Database): Promise<string[]> {
  const rows = await db.query<{ word: string }>({ text: "select word from words order by id" });
  return rows.map(({ word }) => word);
}

function ascending(a: number, b: number): number {
  return a - b;
}

const table = "create table words (id int generated always as identity, word text unique);";

function insert(word: string): string {
  return `insert into words (word) values ('${word}');`;
}

function failsWith(code: MigrationError["code"], file: string): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof MigrationError);
    assert.equal(error.code, code);
    assert.equal(error.file, file);
    assert.ok(error.message.includes(file));
    return true;
  };
}

describe("migrating", () => {
  test("applies files in the order of their numbers, each once", async (t) => {
    const { db, directory, write } = await setup(t, {
      "0010-ten.sql": insert("ten"),
      "0001-table.sql": table,
      "0002-two.sql": insert("two"),
      "README.md": "not a migration",
    });
    const { applied } = await migrate(db, { directory });
    assert.deepEqual(applied, ["0001-table.sql", "0002-two.sql", "0010-ten.sql"]);
    await write({ "0011-eleven.sql": insert("eleven") });
    assert.deepEqual(await migrate(db, { directory }), { applied: ["0011-eleven.sql"] });
    assert.deepEqual(await migrate(db, { directory }), { applied: [] });
    assert.deepEqual(await words(db), ["two", "ten", "eleven"]);
  });

  test("records name, checksum and time", async (t) => {
    const { db, directory } = await setup(t, { "0001-table.sql": table });
    await migrate(db, { directory });
    const [row] = await db.query<{ version: number; name: string; checksum: string; recent: boolean }>({
      text: `select version, name, checksum, applied_at > clock_timestamp() - interval '1 minute' as recent
             from tasker.schema_migrations`,
    });
    assert.equal(row?.version, 1);
    assert.equal(row.name, "0001-table.sql");
    assert.match(row.checksum, /^[0-9a-f]{64}$/u);
    assert.equal(row.recent, true);
  });

  test("a file that fails leaves nothing behind, and those before it stay", async (t) => {
    const { db, directory, write } = await setup(t, {
      "0001-table.sql": table,
      "0002-broken.sql": `${insert("half")}\n\nselect nonsense;\n`,
    });
    await assert.rejects(migrate(db, { directory }), (error) => {
      failsWith("migration_failed", "0002-broken.sql")(error);
      assert.match(String(error), /"nonsense" does not exist \(line 3\)/u);
      assert.ok(error instanceof Error);
      assert.equal(sqlStateOf(error.cause), sqlState.undefined_column);
      return true;
    });
    assert.deepEqual(await words(db), []);
    await write({ "0002-broken.sql": insert("whole") });
    assert.deepEqual(await migrate(db, { directory }), { applied: ["0002-broken.sql"] });
    assert.deepEqual(await words(db), ["whole"]);
  });

  test("a file may ask to run without a transaction", async (t) => {
    const concurrently = (name: string): string => `create index concurrently if not exists ${name} on words (word);`;
    const { db, directory } = await setup(t, {
      "0001-table.sql": table,
      "0002-indexes.sql": `-- no transaction\n${concurrently("first")}\n-- and; another\n${concurrently("second")}`,
    });
    await migrate(db, { directory });
    const rows = await db.query({
      text: "select indexrelid::regclass::text as name from pg_index where indrelid = 'words'::regclass and indisvalid and not indisunique order by 1",
    });
    assert.deepEqual(rows, [{ name: "first" }, { name: "second" }]);
  });

  test("a file without a transaction that fails is not recorded and runs again from its beginning", async (t) => {
    const { db, directory, write } = await setup(t, {
      "0001-table.sql": table,
      "0002-words.sql": `-- no transaction\n${insert("once")}\nselect nonsense;`,
    });
    await assert.rejects(migrate(db, { directory }), failsWith("migration_failed", "0002-words.sql"));
    assert.deepEqual((await migrationStatus(db, { directory })).pending, ["0002-words.sql"]);
    await write({ "0002-words.sql": `-- no transaction\n${insert("twice")}` });
    await migrate(db, { directory });
    assert.deepEqual(await words(db), ["once", "twice"]);
  });

  test("is not held to a statement timeout", async (t) => {
    const { url, directory } = await setup(t, { "0001-slow.sql": "select pg_sleep(0.1);" });
    const hasty = openTestPool(`${url}?statement_timeout=50`, 2);
    t.after(() => hasty.close());
    assert.deepEqual(await migrate(hasty, { directory }), { applied: ["0001-slow.sql"] });
  });

  test("needs two connections, and says so", async (t) => {
    const { url, directory } = await setup(t, { "0001-table.sql": table });
    const single = openTestPool(url, 1);
    t.after(() => single.close());
    await assert.rejects(
      migrate(single, { directory }),
      failsWith("migration_needs_two_connections", "0001-table.sql"),
    );
  });
});

describe("two migrators at once", () => {
  test("one works, the other waits and finds nothing left", async (t) => {
    const { db, url, directory } = await setup(t, {
      "0001-table.sql": table,
      "0002-slow.sql": `${insert("once")} select pg_sleep(0.1);`,
    });
    const other = openTestPool(url, 2);
    t.after(() => other.close());
    const results = await Promise.all([migrate(db, { directory }), migrate(other, { directory })]);
    assert.deepEqual(results.map(({ applied }) => applied.length).toSorted(ascending), [0, 2]);
    assert.deepEqual(await words(db), ["once"]);
  });

  test("the one that waits does not hold up an index that is built concurrently", async (t) => {
    const { db, url, directory } = await setup(t, {
      "0001-table.sql": table,
      "0002-index.sql": "-- no transaction\ncreate index concurrently words_index on words (word);",
    });
    const other = openTestPool(url, 2);
    t.after(() => other.close());
    const results = await Promise.all([migrate(db, { directory }), migrate(other, { directory })]);
    assert.deepEqual(results.map(({ applied }) => applied.length).toSorted(ascending), [0, 2]);
  });
});

describe("a database that does not fit this build", () => {
  test("an applied file that was changed is an error that names it, and nothing is applied", async (t) => {
    const { db, directory, write } = await setup(t, { "0001-table.sql": table });
    await migrate(db, { directory });
    await write({ "0001-table.sql": `${table} -- changed`, "0002-two.sql": insert("two") });
    await assert.rejects(migrate(db, { directory }), failsWith("migration_changed", "0001-table.sql"));
    await assert.rejects(requireMigrated(db, { directory }), failsWith("migration_changed", "0001-table.sql"));
    assert.deepEqual(await words(db), []);
    assert.deepEqual(await migrationStatus(db, { directory }), {
      pending: ["0002-two.sql"],
      unknown: [],
      changed: ["0001-table.sql"],
    });
  });

  test("the line ends of the checkout are no change", async (t) => {
    const { db, directory, write } = await setup(t, { "0001-table.sql": `${table}\n${insert("one")}\n` });
    await migrate(db, { directory });
    await write({ "0001-table.sql": `${table}\r\n${insert("one")}\r\n` });
    assert.deepEqual(await migrate(db, { directory }), { applied: [] });
  });

  test("a migration of a newer build is an error of migrating, but not of starting", async (t) => {
    const { db, directory, write } = await setup(t, { "0001-table.sql": table, "0002-newer.sql": insert("newer") });
    await migrate(db, { directory });
    await rm(join(directory, "0002-newer.sql"));
    await write({ "0003-three.sql": insert("three") });
    await assert.rejects(migrate(db, { directory }), failsWith("migration_unknown", "0002-newer.sql"));
    assert.deepEqual(await words(db), ["newer"]);
    await rm(join(directory, "0003-three.sql"));
    await requireMigrated(db, { directory });
    assert.deepEqual((await migrationStatus(db, { directory })).unknown, ["0002-newer.sql"]);
  });

  test("a pending migration is refused with the command to type", async (t) => {
    const { db, directory } = await setup(t, { "0001-table.sql": table, "0002-two.sql": insert("two") });
    assert.deepEqual((await migrationStatus(db, { directory })).pending, ["0001-table.sql", "0002-two.sql"]);
    await assert.rejects(requireMigrated(db, { directory }), (error) => {
      failsWith("migration_pending", "0001-table.sql")(error);
      assert.match(String(error), /\(and 1 more\).*tasker migrate/u);
      return true;
    });
    await migrate(db, { directory });
    await requireMigrated(db, { directory });
  });
});

describe("a folder of migrations", () => {
  test("may not hold one number twice", async (t) => {
    const { db, directory } = await setup(t, { "0001-a.sql": "select 1", "0001-b.sql": "select 1" });
    await assert.rejects(migrate(db, { directory }), failsWith("migration_file_invalid", "0001-b.sql"));
  });

  test("may not hold a file whose name says no number", async (t) => {
    const { db, directory } = await setup(t, { "1-a.sql": "select 1" });
    await assert.rejects(migrate(db, { directory }), failsWith("migration_file_invalid", "1-a.sql"));
  });

  test("is the package's own by default", async (t) => {
    const { db } = await testDatabase(t);
    await requireMigrated(db);
    assert.deepEqual(await migrationStatus(db), { pending: [], unknown: [], changed: [] });
  });
});
