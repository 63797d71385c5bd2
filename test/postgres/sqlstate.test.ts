import assert from "node:assert/strict";
import { after, test } from "node:test";

import { isTransient, sqlState, sqlStateOf } from "../../src/postgres/sqlstate.ts";
import { openTestPool, testDatabase } from "../support/database.ts";

const { db, url } = await testDatabase({ after }, { migrated: false });

async function errorOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    return error;
  }
  return assert.fail("expected an error");
}

test("the error of a statement has its SQLSTATE and is not transient", async () => {
  const missing = await errorOf(db.query({ text: "select * from nowhere" }));
  assert.equal(sqlStateOf(missing), sqlState.undefined_table);
  assert.equal(isTransient(missing), false);
});

test("a transaction that lost against another one is transient", async () => {
  for (const name of ["serialization_failure", "deadlock_detected", "lock_not_available"] as const) {
    const lost = await errorOf(db.query({ text: `do $$ begin raise ${name}; end $$` }));
    assert.equal(sqlStateOf(lost), sqlState[name]);
    assert.equal(isTransient(lost), true);
  }
});

test("a server that ends the session is transient", async () => {
  const ended = await errorOf(db.query({ text: "select pg_terminate_backend(pg_backend_pid())" }));
  assert.equal(isTransient(ended), true);
});

test("a server that is not there is transient and has no SQLSTATE", async (t) => {
  const nobody = openTestPool("postgres://u:p@127.0.0.1:1/x", 1);
  t.after(() => nobody.close());
  const refused = await errorOf(nobody.query({ text: "select 1" }));
  assert.equal(sqlStateOf(refused), undefined);
  assert.equal(isTransient(refused), true);
  assert.equal(isTransient(new AggregateError([refused, refused])), true);
  assert.equal(isTransient(new AggregateError([refused, new Error("other")])), false);
});

test("a wrong password is not transient", async (t) => {
  const wrong = new URL(url);
  wrong.password = "wrong";
  const stranger = openTestPool(wrong.href, 1);
  t.after(() => stranger.close());
  const refused = await errorOf(stranger.query({ text: "select 1" }));
  assert.equal(sqlStateOf(refused), sqlState.invalid_password);
  assert.equal(isTransient(refused), false);
});

test("a code of five letters that is Node's is no SQLSTATE", () => {
  const broken = Object.assign(new Error("broken pipe"), { code: "EPIPE" });
  assert.equal(sqlStateOf(broken), undefined);
  assert.equal(isTransient(broken), true);
});

test("anything may be asked about", () => {
  for (const value of [undefined, null, "40001", 40001, {}, { code: 40001 }, new Error("40001")]) {
    assert.equal(sqlStateOf(value), undefined);
    assert.equal(isTransient(value), false);
  }
});
