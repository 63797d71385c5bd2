import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";

import { migrate } from "../../src/postgres/migrate.ts";
import { findSchemaDrift } from "../../src/postgres/schema-objects.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { testDatabase } from "../support/database.ts";

interface Setup {
  readonly db: Database;
  /** Applies files, beside those that were there. */
  readonly apply: (files: Readonly<Record<string, string>>) => Promise<void>;
  /** As in `table words: missing`. */
  readonly drift: () => Promise<string[]>;
}

async function setup(t: TestContext): Promise<Setup> {
  const directory = await mkdtemp(join(tmpdir(), "tasker-record-"));
  t.after(() => rm(directory, { recursive: true }));
  const { db } = await testDatabase(t, { migrated: false });
  return {
    db,
    async apply(files) {
      for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
      await migrate(db, { directory });
    },
    drift: async () => (await findSchemaDrift(db, { directory })).map(({ subject, state }) => `${subject}: ${state}`),
  };
}

const first = {
  "0001-words.sql": `create table tasker.words (word text primary key);
    create function tasker.answer() returns integer language sql as 'select 42';`,
};

describe("the record of the schema", () => {
  test("has what the migrations made, by what it is", async (t) => {
    const { db, apply, drift } = await setup(t);
    await apply(first);
    assert.deepEqual(await drift(), []);
    const { length } = await db.query({ text: "select from tasker.schema_objects where name = 'function answer()'" });
    assert.equal(length, 1);
  });

  test("keeps showing what was done by hand after later migrations, which are in it with what they changed", async (t) => {
    const { db, apply, drift } = await setup(t);
    await apply(first);
    await db.query({ text: "create or replace function tasker.answer() returns integer language sql as 'select 41'" });
    await db.query({ text: "create index mine on tasker.words (word)" });
    const byHand = ["function answer(): changed", "index mine on words: added"];
    assert.deepEqual(await drift(), byHand);
    await apply({
      "0002-more.sql":
        "alter table tasker.words add length integer not null default 0; drop function if exists tasker.none();",
      "0003-index.sql":
        "-- no transaction\ncreate index concurrently if not exists words_length on tasker.words (length);",
    });
    assert.deepEqual(await drift(), byHand);
    await apply({
      "0004-answer.sql": "create or replace function tasker.answer() returns integer language sql as 'select 43'",
    });
    assert.deepEqual(await drift(), ["index mine on words: added"]);
    await apply({ "0005-gone.sql": "drop table tasker.words" });
    assert.deepEqual(await drift(), []);
  });

  test("of a migration that fails nothing is recorded", async (t) => {
    const { apply, drift } = await setup(t);
    await apply(first);
    await assert.rejects(apply({ "0002-bad.sql": "create table tasker.more (); select 1 / 0;" }), /division by zero/u);
    assert.deepEqual(await drift(), ["migration 0002-bad.sql: pending"]);
  });

  test("a database without one says so, and begins it with the next run of the migrator", async (t) => {
    const { db, apply, drift } = await setup(t);
    await apply(first);
    await db.query({ text: "drop table tasker.schema_objects" });
    assert.deepEqual(await drift(), ["the schema: unrecorded"]);
    await apply({});
    assert.deepEqual(await drift(), []);
  });

  test("an index whose building was interrupted is named", async (t) => {
    const { db, apply, drift } = await setup(t);
    await apply(first);
    await db.query({ text: "insert into tasker.words values ('a'), ('A')" });
    const build = db.query({ text: "create unique index concurrently one on tasker.words (lower(word))" });
    await assert.rejects(build, { code: "23505" });
    assert.deepEqual(await drift(), ["index one on words: added", "index one: invalid"]);
  });
});
