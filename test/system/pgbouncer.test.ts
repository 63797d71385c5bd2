import assert from "node:assert/strict";
import { describe, test } from "node:test";

import pg from "pg";

import { openDatabase, type DatabaseOptions } from "../../src/postgres/pool.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { type Scope, testDatabase } from "../support/database.ts";
import { onlyRow } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { poolSize, startPgBouncer } from "../support/pgbouncer.ts";
import { runTasker, startTasker } from "../support/tasker-process.ts";
import { setup } from "./fleet.ts";

function open(scope: Scope, connectionString: string, changes: Partial<DatabaseOptions> = {}): Database {
  const db = openDatabase({
    connectionString,
    max: 5,
    applicationName: "pgbouncer tests",
    idleInTransactionTimeoutMs: 60_000,
    connectTimeoutMs: 10_000,
    transactionPooling: true,
    preparedStatements: false,
    onError: () => {},
    ...changes,
  });
  scope.after(() => db.close());
  return db;
}

/** What the pooler's connections to the server have beyond what a fresh one has, but for the settings that PgBouncer itself looks after. */
async function leftInSessions(url: string): Promise<Map<number, object>> {
  const text = `select pg_backend_pid() as pid,
    (select count(*)::int from pg_prepared_statements where not from_sql) as prepared,
    (select count(*)::int from pg_locks where locktype = 'advisory') as locks,
    (select count(*)::int from pg_listening_channels()) as channels,
    (select count(*)::int from pg_class where relpersistence = 't') as temporary,
    (select array_agg(name) from pg_settings where source = 'session'
      and name not in ('client_encoding', 'application_name', 'DateStyle', 'TimeZone', 'standard_conforming_strings')) as settings`;
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const seen = new Map<number, object>();
    const ask = async (): Promise<number> => {
      const { rows } = await client.query<{ pid: number }>(text);
      for (const { pid, ...left } of rows) seen.set(pid, left);
      return seen.size;
    };
    await eventually("each connection was asked", ask, (count) => count >= poolSize);
    return seen;
  } finally {
    await client.end();
  }
}

const untouched = { prepared: 0, locks: 0, channels: 0, temporary: 0, settings: null };

describe("through PgBouncer in transaction mode", { timeout: 300_000, concurrency: 1 }, () => {
  test("a server and workers do all they do, are woken, and leave nothing in a session", async (t) => {
    const fleet = await setup(t);
    await fleet.db.query({
      text: "do $$ begin execute format('alter database %I set timezone = ''Asia/Kolkata''', current_database()); end $$",
    });
    const bouncer = await startPgBouncer(t, fleet.url);
    const env = {
      DATABASE_URL: bouncer.url,
      TASKER_DATABASE_DIRECT_URL: fleet.url,
      TASKER_DATABASE_TRANSACTION_POOLING: "true",
      TASKER_DATABASE_PREPARED_STATEMENTS: String(bouncer.keepsPreparedStatements),
      // Nothing is found by polling: what is done was told of.
      TASKER_WORKER_POLL_INTERVAL_MS: "3600000",
      TASKER_HTTP_PORT: "0",
    };
    const server = startTasker(t, ["serve"], { env });
    const [, address = ""] = await server.printed(/(http:\/\/127\.0\.0\.1:\d+)/u);
    const workers = await Promise.all([fleet.startWorker({ env }), fleet.startWorker({ env })]);
    const listeners =
      "select count(*) as n from pg_stat_activity where datname = current_database() and application_name like 'tasker listener%'";
    await eventually(
      "the workers listen",
      () => onlyRow<{ n: number }>(fleet.db, listeners),
      ({ n }) => n === 2,
    );
    for (let number = 0; number < 50; number++) {
      const answer = await fetch(`${address}/v1/tasks`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ namespace: "system", name: "pipeline", version: "1.0.0", input: { number } }),
      });
      assert.equal(answer.status, 201, await answer.text());
    }
    await fleet.completed(50);
    for (const { results, pids } of await fleet.steps()) assert.deepEqual([results, pids.length], [1, 1]);
    const answer = await fetch(`${address}/v1/analytics/performance?hours=1`);
    assert.equal(answer.status, 200, await answer.text());
    const examined = await runTasker(t, ["doctor", "--analytics", "--hours", "1"], { env });
    assert.equal(examined.code, 0, examined.stdout + examined.stderr);
    for (const one of [server, ...workers]) {
      one.kill("SIGTERM");
      const { code, stderr } = await one.ended;
      assert.equal(code, 0, stderr);
      assert.doesNotMatch(stderr, /"level":"(?:warn|error|fatal)"/u);
    }
    const left = await leftInSessions(bouncer.url);
    // What a pooler prepares for its clients is its own affair.
    const forgiven = bouncer.keepsPreparedStatements ? { prepared: 0 } : {};
    for (const one of left.values()) assert.deepEqual({ ...one, ...forgiven }, untouched);
  });

  test("a database is migrated", async (t) => {
    const { url, db } = await testDatabase(t, { migrated: false });
    const bouncer = await startPgBouncer(t, url);
    const env = {
      DATABASE_URL: bouncer.url,
      TASKER_DATABASE_DIRECT_URL: url,
      TASKER_DATABASE_TRANSACTION_POOLING: "true",
      TASKER_DATABASE_PREPARED_STATEMENTS: "false",
    };
    const migrated = await Promise.all([1, 2].map(() => runTasker(t, ["migrate"], { env })));
    for (const { code, stderr } of migrated) assert.equal(code, 0, stderr);
    assert.equal((await onlyRow<{ n: number }>(db, "select count(*) as n from tasker.tasks")).n, 0);
    for (const left of (await leftInSessions(bouncer.url)).values()) assert.deepEqual(left, untouched);
  });

  test("time limits hold in each transaction and each statement, and not beyond", async (t) => {
    const { url } = await testDatabase(t);
    const bouncer = await startPgBouncer(t, url);
    const limited = open(t, bouncer.url, { statementTimeoutMs: 1234, idleInTransactionTimeoutMs: 5678 });
    const text =
      "select current_setting('statement_timeout') as statement, current_setting('idle_in_transaction_session_timeout') as idle";
    const limits = { statement: "1234ms", idle: "5678ms" };
    assert.deepEqual(await limited.query({ text }), [limits]);
    assert.deepEqual(
      await limited.transaction((sql) => sql.query({ text }), { isolation: "repeatable read", readOnly: true }),
      [limits],
    );
    const plain = open(t, bouncer.url, { idleInTransactionTimeoutMs: 0 });
    for (let times = 0; times < 2 * poolSize; times++) {
      assert.deepEqual(await plain.query({ text }), [{ statement: "0", idle: "0" }]);
    }
    const impatient = open(t, bouncer.url, { statementTimeoutMs: 50 });
    await assert.rejects(impatient.query({ text: "select pg_sleep(600)" }), { code: "57014" });
    assert.deepEqual(await impatient.query({ text: "select 1 as one" }), [{ one: 1 }]);
  });

  test("named statements work where it keeps them; elsewhere the error names the setting", async (t) => {
    const { url } = await testDatabase(t);
    const bouncer = await startPgBouncer(t, url);
    const named = open(t, bouncer.url, { preparedStatements: true });
    const ask = async (): Promise<void> => {
      for (let times = 0; times < 4 * poolSize; times++) {
        assert.deepEqual(await named.query({ name: "one", text: "select $1::int as one", values: [1] }), [{ one: 1 }]);
      }
    };
    if (bouncer.keepsPreparedStatements) await ask();
    else await assert.rejects(ask(), /prepared statement "one" .*set \[database\] prepared_statements = false/u);
    const unnamed = open(t, bouncer.url);
    for (let times = 0; times < 4 * poolSize; times++) {
      assert.deepEqual(await unnamed.query({ name: "one", text: "select $1::int as one", values: [1] }), [{ one: 1 }]);
    }
  });

  test("a process that was not told of the pooler says what to set", async (t) => {
    const { url } = await testDatabase(t);
    const bouncer = await startPgBouncer(t, url);
    const { code, stderr } = await runTasker(t, ["migrate", "--status"], { env: { DATABASE_URL: bouncer.url } });
    assert.equal(code, 1);
    assert.match(
      stderr,
      /unsupported startup parameter.*: this is a pooler; set \[database\] transaction_pooling = true/u,
    );
  });
});
