import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { after, describe, test } from "node:test";

import pg from "pg";

import { type DatabaseOptions, openDatabase } from "../../src/postgres/pool.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { isTransient, sqlState, sqlStateOf } from "../../src/postgres/sqlstate.ts";
import { sqlOf } from "../../src/postgres/statement.ts";
import { type Scope, testDatabase } from "../support/database.ts";
import { deferred } from "../support/deferred.ts";
import { eventually } from "../support/eventually.ts";
import { startProxy } from "../support/tcp-proxy.ts";

const { db: admin, url } = await testDatabase({ after }, { migrated: false });

function open(scope: Scope, changes: Partial<DatabaseOptions> = {}): Database {
  const db = openDatabase({
    connectionString: url,
    max: 3,
    applicationName: "pool tests",
    idleInTransactionTimeoutMs: 60_000,
    connectTimeoutMs: 10_000,
    onError: () => {},
    ...changes,
  });
  scope.after(() => db.close());
  return db;
}

async function pidOf(db: Pick<Database, "query">): Promise<number> {
  const [row] = await db.query<{ pid: number }>({ text: "select pg_backend_pid() as pid" });
  assert.ok(row);
  return row.pid;
}

function terminate(pid: number): Promise<unknown> {
  return admin.query({ text: "select pg_terminate_backend($1, 10000)", values: [pid] });
}

describe("sessions", () => {
  const settings = {
    text: "select current_setting('TimeZone') as zone, current_setting('DateStyle') as style, current_setting('work_mem') as memory",
  };

  test("run in UTC with ISO dates", async (t) => {
    const [row] = await open(t).query<{ zone: string; style: string }>(settings);
    assert.equal(row?.zone, "UTC");
    assert.match(row.style, /^ISO/u);
  });

  test("do so too when the connection string brings options of its own, which are kept", async (t) => {
    const connectionString = `${url}?options=${encodeURIComponent("-c work_mem=3MB -c TimeZone=Asia/Tokyo")}`;
    const [row] = await open(t, { connectionString }).query<{ zone: string; memory: string }>(settings);
    assert.equal(row?.zone, "UTC");
    assert.equal(row.memory, "3MB");
  });

  test("carry the application's name and the timeouts", async (t) => {
    const db = open(t, { statementTimeoutMs: 20 });
    const rows = await db.query({
      text: `select application_name as name, current_setting('idle_in_transaction_session_timeout') as idle
             from pg_stat_activity where pid = pg_backend_pid()`,
    });
    assert.deepEqual(rows, [{ name: "pool tests", idle: "1min" }]);
    await assert.rejects(db.query({ text: "select pg_sleep(60)" }), { code: sqlState.query_canceled });
  });
});

describe("a pool", () => {
  test("keeps a connection whose statement failed", async (t) => {
    const db = open(t, { max: 1 });
    const pid = await pidOf(db);
    await assert.rejects(db.query({ text: "select 1 / 0" }), { code: "22012" });
    assert.equal(await pidOf(db), pid);
  });

  test("discards a connection that a statement left inside of a transaction", async (t) => {
    const db = open(t, { max: 1 });
    const pid = await pidOf(db);
    await db.query({ text: "begin" });
    assert.notEqual(await pidOf(db), pid);
  });

  test("says how busy it is", async (t) => {
    const db = open(t, { max: 1 });
    assert.deepEqual(db.usage(), { max: 1, used: 0, waiting: 0 });
    const begun = deferred();
    const end = deferred();
    const first = db.transaction(async () => {
      begun.resolve();
      await end.promise;
    });
    await begun.promise;
    const second = db.query({ text: "select 1" });
    assert.deepEqual(db.usage(), { max: 1, used: 1, waiting: 1 });
    end.resolve();
    await Promise.all([first, second]);
    assert.deepEqual(db.usage(), { max: 1, used: 0, waiting: 0 });
  });

  test("survives the loss of an idle connection and tells of it", async (t) => {
    const told = deferred<Error>();
    const onError = (error: Error): void => {
      told.resolve(error);
      throw new Error("an observer that fails");
    };
    const db = open(t, { onError });
    await terminate(await pidOf(db));
    const error = await told.promise;
    assert.equal(sqlStateOf(error), sqlState.admin_shutdown);
    assert.ok(!("client" in error), "a logger would print all of it");
    assert.ok(await pidOf(db));
  });

  test("rejects the statement that runs on a connection which is lost", async (t) => {
    const db = open(t);
    const statement = db.transaction(async (sql) => {
      const pid = await pidOf(sql);
      const sleeping = sql.query({ text: "select pg_sleep(60)" });
      await Promise.all([sleeping, terminate(pid)]);
    });
    await assert.rejects(statement, { code: sqlState.admin_shutdown });
    assert.equal(db.usage().used, 0);
  });

  test("rejects in time when nobody answers", async (t) => {
    const silent = createServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
    t.after(() => silent.close());
    const address = silent.address();
    assert.ok(typeof address === "object" && address !== null);
    const connectionString = `postgres://u:p@127.0.0.1:${address.port}/x`;
    const db = open(t, { connectionString, connectTimeoutMs: 50 });
    await assert.rejects(db.query({ text: "select 1" }), /timeout/u);
  });

  test("that cuts at its close fails what is under way and who stands in line, and waits for neither", async (t) => {
    const db = open(t, { max: 1, cutsAtClose: true });
    await admin.transaction(async (lock) => {
      await lock.query({ text: "select pg_advisory_xact_lock(77)" });
      const [under, line] = [
        db.query({ text: "select pg_advisory_xact_lock(77)" }),
        db.query({ text: "select 1 as one" }),
      ].map((asked) => asked.then(() => "answered", String));
      const waiting = { text: "select 1 from pg_locks where locktype = 'advisory' and objid = 77 and not granted" };
      await eventually(
        "the statement waits for the lock",
        () => lock.query(waiting),
        (rows) => rows.length === 1,
      );
      // Would not end while the lock is held.
      await db.close();
      assert.match((await under) ?? "", /terminated/u);
      assert.match((await line) ?? "", /closed/u);
    });
  });

  test("closes after the work that has begun and the callers in line", async (t) => {
    const db = open(t, { max: 1 });
    const answers: number[] = [];
    const all = [1, 2, 3].map(async (n) => {
      const [row] = await db.query<{ n: number }>({ text: "select $1::int as n", values: [n] });
      answers.push(row?.n ?? 0);
    });
    await Promise.all([db.close(), db.close()]);
    assert.deepEqual(answers, [1, 2, 3]);
    await Promise.all(all);
    await assert.rejects(db.query({ text: "select 1" }), /closed/u);
  });

  test("does not touch the type parsers of the host application", async (t) => {
    const db = open(t);
    assert.deepEqual(await db.query({ text: "select 1::int8 as n" }), [{ n: 1 }]);
    const application = new pg.Client({ connectionString: url });
    await application.connect();
    t.after(() => application.end());
    const { rows } = await application.query<{ n: unknown }>("select 1::int8 as n");
    assert.deepEqual(rows, [{ n: "1" }]);
  });

  test("prepares a statement with a name once for each connection", async (t) => {
    const db = open(t, { max: 1 });
    const statement = { name: "sum", text: "select $1::int + 1 as n" };
    assert.deepEqual(await db.query({ ...statement, values: [1] }), [{ n: 2 }]);
    assert.deepEqual(await db.query({ ...statement, values: [2] }), [{ n: 3 }]);
    const prepared = await db.query({ text: "select name from pg_prepared_statements" });
    assert.deepEqual(prepared, [{ name: "sum" }]);
  });
});

describe("a caller's own client", () => {
  test("works within the caller's transaction, be it a client or one of a pool", async (t) => {
    const pool = new pg.Pool({ connectionString: url });
    // Its sockets still end when the database is dropped.
    pool.on("error", () => {});
    t.after(() => pool.end());
    const client = await pool.connect();
    await client.query("begin");
    await sqlOf(client).query({ text: "create table callers (id int8)" });
    await sqlOf(client).query({ text: "insert into callers values ($1)", values: [7] });
    assert.deepEqual(await sqlOf(client).query({ text: "select id from callers" }), [{ id: 7 }]);
    await client.query("rollback");
    client.release();
    const { rows } = await pool.query("select to_regclass('callers') as found");
    assert.deepEqual(rows, [{ found: null }]);
  });
});

test("a server that is gone without a word costs a statement its timeout, and the pool goes on", async (t) => {
  let heard = "";
  const hear = () => (bytes: Buffer) => void (heard += bytes.toString("latin1"));
  const proxy = await startProxy(t, { port: Number(new URL(url).port) }, { hear });
  const through = new URL(url);
  through.host = `127.0.0.1:${proxy.port}`;
  const db = open(t, { connectionString: through.href, max: 1, statementTimeoutMs: 100 });
  await db.query({ text: "select 1" });
  const work = db.transaction((sql) => {
    proxy.blackHole();
    return sql.query({ text: "select 1" });
  });
  const lost: unknown = await work.catch((error: unknown) => error);
  assert.ok(isTransient(lost), String(lost));
  assert.match(heard, /begin.*select 1/su);
  assert.doesNotMatch(heard, /rollback/u, "it is not waited for once more");
  proxy.pass();
  assert.deepEqual(await db.query({ text: "select 2 as n" }), [{ n: 2 }]);
});
