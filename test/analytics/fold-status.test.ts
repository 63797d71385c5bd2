import assert from "node:assert/strict";
import { test } from "node:test";

import { readFoldStatus } from "../../src/analytics/fold-status.ts";
import { testDatabase } from "../support/database.ts";
import { foldAll, moveClock, onlyRow, stopClock } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { startTasker } from "../support/tasker-process.ts";
import { OpenTransaction } from "./fact-writer.ts";

test("the status says how long ago the last fold was, and is sick when that is too long", async (t) => {
  const { db } = await testDatabase(t);
  await stopClock(db);
  await foldAll(db);
  assert.equal((await readFoldStatus(db, 60)).behind_seconds, 0);
  await moveClock(db, 61);
  const { healthy, behind_seconds } = await readFoldStatus(db, 60);
  assert.deepEqual([healthy, behind_seconds], [false, 61]);
  await foldAll(db);
  assert.equal((await readFoldStatus(db, 60)).behind_seconds, 0);
});

test("the transaction that the fold waits for is counted and the oldest is named, with or without a process", async (t) => {
  const { db } = await testDatabase(t);
  const { database } = await onlyRow<{ database: string }>(db, "select current_database() as database");
  /** Other tests' transactions in the same cluster may be older. */
  const named = async (pid: number | undefined) => {
    const { oldest_transaction: oldest } = await readFoldStatus(db, 60);
    return { found: oldest?.database !== database || oldest.pid === pid, oldest };
  };
  const open = await OpenTransaction.begin(db);
  try {
    // The second one finds it among ids that have ended: the first one's.
    for (const _ of [1, 2]) await foldAll(db);
    const { pid } = await onlyRow<{ pid: number }>(
      db,
      "select pid from pg_stat_activity where datname = current_database() and backend_xid is not null",
    );
    const found = await named(pid);
    assert.ok(found.found, JSON.stringify(found));
    assert.ok((await readFoldStatus(db, 60)).open_transactions >= 1);
  } finally {
    await open.end("commit");
  }
  await db.transaction(async (sql) => {
    await sql.query({ text: "select tasker.tick()" });
    await sql.query({ text: "prepare transaction 'fold status test'" });
  });
  try {
    const found = await named(undefined);
    assert.ok(found.found, JSON.stringify(found));
  } finally {
    await db.query({ text: "rollback prepared 'fold status test'" });
  }
});

test("a process's health says it, without being sick for it, and its metrics too", async (t) => {
  const { url, db } = await testDatabase(t);
  const open = await OpenTransaction.begin(db);
  try {
    const env = { DATABASE_URL: url, TASKER_HTTP_PORT: "0" };
    const server = startTasker(t, ["serve"], { env });
    const address = (await server.printed(/listening on (http:\S+)/u))[1];
    const check = await eventually(
      "a fold has found the transaction",
      async () => {
        const answer = await fetch(`${address}/health`);
        assert.equal(answer.status, 200);
        const { checks } = (await answer.json()) as { readonly checks: readonly Check[] };
        return checks.find(({ name }) => name === "analytics fold");
      },
      (found) => (found?.detail.open_transactions ?? 0) >= 1,
    );
    assert.equal(check?.healthy, true);
    assert.ok((check?.detail.oldest_transaction?.seconds ?? -1) >= 0);
    const metrics = await (await fetch(`${address}/metrics`)).text();
    assert.match(metrics, /^tasker_fold_open_transactions [1-9]/mu);
    assert.match(metrics, /^tasker_fold_behind_seconds [0-9]/mu);
  } finally {
    await open.end("rollback");
  }
});

interface Check {
  readonly name: string;
  readonly healthy: boolean;
  readonly detail: { readonly open_transactions: number; readonly oldest_transaction?: { readonly seconds: number } };
}
