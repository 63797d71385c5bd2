import assert from "node:assert/strict";
import { test } from "node:test";

import type { Database, Sql } from "../../src/postgres/sql.ts";
import { testDatabase } from "../support/database.ts";
import { foldAll, onlyRow, untilBlocked } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { OpenTransaction, write } from "./fact-writer.ts";
import { checkWindow, type Fact, readFacts } from "./recount.ts";
import { alteredCopy, foldStatements } from "./snapshots.ts";

const now = Date.UTC(2026, 2, 10, 12, 34, 56) * 1000;

function completed(identity: number): Fact {
  const parts = { dependencyWaitUs: 0, queueWaitUs: 0, retryUs: 0, attempts: 1, failedAttempts: 0 };
  const tasks = { stepCount: 0, failedStepCount: 0, reopened: false };
  return { subject: "step", identity, endedAt: now, outcome: "complete", durationUs: 1000, ...parts, ...tasks };
}

/** How many completed steps of each identity are in the all-time rollup. */
async function folded(db: Sql): Promise<Record<string, number>> {
  const rows = await db.query<{ identity_id: number; completed: number }>({
    text: "select identity_id, completed from tasker.rollups where grain = 'a'",
  });
  return Object.fromEntries(rows.map(({ identity_id, completed: n }) => [identity_id, n]));
}

/** The figures as they are read, whatever of them is folded, against all committed facts. */
async function assertExact(db: Database): Promise<void> {
  const facts = await readFacts(db);
  for (const hours of [0, 1, 24]) await checkWindow(db, facts, { hours, now, ids: null });
}

test("a transaction that stays open delays its own facts only", async (t) => {
  const { db } = await testDatabase(t);
  const open = await OpenTransaction.begin(db);
  await open.write({ facts: [completed(1)], deltas: [] });
  for (let round = 1; round <= 5; round++) {
    await write(db, { facts: [completed(2), completed(3)], deltas: [] });
    await foldAll(db);
    assert.deepEqual(await folded(db), { 2: round, 3: round });
    await assertExact(db);
  }
  await open.write({ facts: [completed(4)], deltas: [] });
  await open.end("commit");
  await assertExact(db);
  await foldAll(db);
  assert.deepEqual(await folded(db), { 1: 1, 2: 5, 3: 5, 4: 1 });
  await assertExact(db);
});

test("a transaction that is open in another database of the cluster delays nothing", async (t) => {
  const [{ db }, elsewhere] = [await testDatabase(t), await testDatabase(t)];
  const open = await OpenTransaction.begin(elsewhere.db);
  await write(db, { facts: [completed(1)], deltas: [] });
  await foldAll(db);
  assert.deepEqual(await folded(db), { 1: 1 });
  await open.end("rollback");
});

test("a transaction that folds and goes on writing loses nothing of its own", async (t) => {
  const { db } = await testDatabase(t);
  await db.transaction(async (sql) => {
    await write(sql, { facts: [completed(1)], deltas: [] });
    // Later ids end meanwhile: that of the transaction lies below the snapshot's end.
    await write(db, { facts: [completed(2)], deltas: [] });
    await foldAll(sql);
    assert.deepEqual(await folded(sql), { 2: 1 });
    await write(sql, { facts: [completed(1)], deltas: [] });
  });
  await assertExact(db);
  await foldAll(db);
  assert.deepEqual(await folded(db), { 1: 2, 2: 1 });
});

test("many transactions that end late are folded in bounded pieces", async (t) => {
  const { db } = await testDatabase(t);
  const open = await Promise.all(Array.from({ length: 6 }, () => OpenTransaction.begin(db)));
  for (const one of open) await one.write({ facts: [completed(1), completed(1), completed(1)], deltas: [] });
  await write(db, { facts: [completed(2)], deltas: [] });
  await foldAll(db);
  for (const one of open) await one.end("commit");
  await write(db, { facts: [completed(2)], deltas: [] });
  const pieces: number[] = [];
  for (let more = true; more;) {
    const piece = await onlyRow<{ folded: number; more: boolean }>(db, "select folded, more from tasker.fold(4)");
    pieces.push(piece.folded);
    more = piece.more;
    await assertExact(db);
  }
  // Whole transactions of three, two of which are more than four.
  assert.deepEqual(pieces, [3, 3, 3, 3, 3, 4]);
  assert.deepEqual(await folded(db), { 1: 18, 2: 2 });
});

test("a folder that is killed after any of its statements has folded nothing", async (t) => {
  const { db } = await testDatabase(t);
  const pauses = foldStatements.map(
    (text, at) => [text, `${text} perform pg_advisory_xact_lock_shared(${at});`] as const,
  );
  const fold = await alteredCopy(db, "tasker.fold", "fold_with_pauses", pauses);
  await write(db, { facts: [completed(1)], deltas: [] });
  await foldAll(db);
  for (const at of foldStatements.keys()) {
    await write(db, { facts: [completed(1), completed(2)], deltas: [] });
    const before = await onlyRow(db, "select * from tasker.fold_state");
    await db.transaction(async (killer) => {
      await killer.query({ text: `select pg_advisory_xact_lock(${at})` });
      const killed = assert.rejects(db.query({ text: `select folded from ${fold}(1000)` }), { code: "57P01" });
      await untilBlocked(db, 1);
      await db.query({
        text: `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and not granted
          and database = (select oid from pg_database where datname = current_database())`,
      });
      await killed;
    });
    assert.deepEqual(await onlyRow(db, "select * from tasker.fold_state"), before);
    await assertExact(db);
  }
  await foldAll(db);
  assert.deepEqual(await folded(db), { 1: 1 + foldStatements.length, 2: foldStatements.length });
  await assertExact(db);
});

test("a prepared transaction delays its own facts only, and they are folded when it commits", async (t) => {
  const { db } = await testDatabase(t);
  await db.transaction(async (sql) => {
    await write(sql, { facts: [completed(1)], deltas: [] });
    await sql.query({ text: "prepare transaction 'folding test'" });
  });
  await write(db, { facts: [completed(2)], deltas: [] });
  await foldAll(db);
  assert.deepEqual(await folded(db), { 2: 1 });
  await db.query({ text: "commit prepared 'folding test'" });
  await assertExact(db);
  await foldAll(db);
  assert.deepEqual(await folded(db), { 1: 1, 2: 1 });
});

test("an old partition into which a transaction still writes is not dropped when that commits meanwhile", async (t) => {
  const { db } = await testDatabase(t);
  await db.query({
    text: "create table tasker.step_facts_20250101 partition of tasker.step_facts for values from ('2025-01-01Z') to ('2025-01-02Z')",
  });
  const old = { ...completed(1), endedAt: Date.UTC(2025, 0, 1, 5) * 1000 };
  await foldAll(db);
  const open = await OpenTransaction.begin(db);
  await open.write({ facts: [old], deltas: [] });
  const dropping = onlyRow<{ dropped: string[] }>(db, "select tasker.drop_expired_partitions(14) as dropped");
  await eventually(
    "the drop waits for the writer, or has given up",
    async () =>
      Promise.race([
        dropping.then(() => true),
        onlyRow<{ n: number }>(
          db,
          "select count(*) as n from pg_locks where not granted and locktype = 'relation' and mode = 'AccessExclusiveLock'",
        ).then(({ n }) => n > 0),
      ]),
    Boolean,
  );
  await open.end("commit");
  assert.deepEqual((await dropping).dropped, []);
  await foldAll(db);
  assert.deepEqual(await folded(db), { 1: 1 });
  const { dropped } = await onlyRow<{ dropped: string[] }>(db, "select tasker.drop_expired_partitions(14) as dropped");
  assert.deepEqual(dropped, ["step_facts_20250101"]);
});
