import assert from "node:assert/strict";
import { after, beforeEach, test } from "node:test";

import type { Sql } from "../../src/postgres/sql.ts";
import { sqlState } from "../../src/postgres/sqlstate.ts";
import { testDatabase } from "../support/database.ts";

const { db } = await testDatabase({ after }, { migrated: false });
await db.query({ text: "create table notes (id int primary key)" });

beforeEach(async () => {
  await db.query({ text: "truncate notes" });
});

async function ids(): Promise<number[]> {
  const rows = await db.query<{ id: number }>({ text: "select id from notes order by id" });
  return rows.map(({ id }) => id);
}

function insert(sql: Sql, id: number): Promise<unknown> {
  return sql.query({ text: "insert into notes values ($1)", values: [id] });
}

test("commits what resolves, and resolves to the same", async () => {
  const result = await db.transaction(async (sql) => {
    await insert(sql, 1);
    await insert(sql, 2);
    return "done";
  });
  assert.equal(result, "done");
  assert.deepEqual(await ids(), [1, 2]);
});

test("rolls back what rejects, and rejects with the same error", async () => {
  const reason = new Error("the work's own reason");
  const failed = db.transaction(async (sql) => {
    await insert(sql, 1);
    throw reason;
  });
  await assert.rejects(failed, (error) => error === reason);
  assert.deepEqual(await ids(), []);
});

test("rolls back and rejects with a statement's error", async () => {
  const failed = db.transaction(async (sql) => {
    await insert(sql, 1);
    await insert(sql, 1);
  });
  await assert.rejects(failed, { code: sqlState.unique_violation });
  assert.deepEqual(await ids(), []);
  assert.equal(db.usage().used, 0);
});

test("does not report success when a statement had failed and its error was caught", async () => {
  const failed = db.transaction(async (sql) => {
    await insert(sql, 1);
    await insert(sql, 1).catch(() => "ignored");
  });
  await assert.rejects(failed, { name: "TransactionError", code: "transaction_aborted" });
  assert.deepEqual(await ids(), []);
});

test("rejects with an error of the commit itself", async () => {
  await db.query({
    text: "create table late (id int unique deferrable initially deferred)",
  });
  const failed = db.transaction((sql) => sql.query({ text: "insert into late values (1), (1)" }));
  await assert.rejects(failed, { code: sqlState.unique_violation });
});

test("refuses a statement that comes after its end", async () => {
  let leaked: Sql | undefined;
  await db.transaction(async (sql) => {
    leaked = sql;
  });
  assert.ok(leaked);
  await assert.rejects(insert(leaked, 1), { name: "TransactionError", code: "transaction_ended" });
  assert.deepEqual(await ids(), []);
});

test("discards a connection that was lost, and rejects with the work's error", async () => {
  const reason = new Error("the work's own reason");
  const failed = db.transaction(async (sql) => {
    await sql.query({ text: "select pg_terminate_backend(pg_backend_pid())" }).catch(() => {});
    throw reason;
  });
  await assert.rejects(failed, (error) => error === reason);
  await db.transaction((sql) => insert(sql, 1));
  assert.deepEqual(await ids(), [1]);
});

test("says why a session was ended while no statement ran", async () => {
  const failed = db.transaction(async (sql) => {
    const [row] = await sql.query<{ pid: number }>({ text: "select pg_backend_pid() as pid" });
    await db.query({ text: "select pg_terminate_backend($1, 10000)", values: [row?.pid] });
    await sql.query({ text: "select 1" });
  });
  await assert.rejects(failed, { code: sqlState.admin_shutdown });
});

test("has the isolation and the mode that were asked for", async () => {
  const settings = {
    text: "select current_setting('transaction_isolation') as i, current_setting('transaction_read_only') as r",
  };
  assert.deepEqual(await db.transaction((sql) => sql.query(settings)), [{ i: "read committed", r: "off" }]);
  assert.deepEqual(
    await db.transaction((sql) => sql.query(settings), { isolation: "repeatable read", readOnly: true }),
    [{ i: "repeatable read", r: "on" }],
  );
  const failed = db.transaction((sql) => insert(sql, 1), { readOnly: true });
  await assert.rejects(failed, { code: "25006" });
});
