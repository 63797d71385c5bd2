import assert from "node:assert/strict";
import { test } from "node:test";

import type { Database } from "../../src/postgres/sql.ts";
import { testDatabase } from "../support/database.ts";
import { runs } from "../support/random.ts";
import { alteredCopy, compareUnderLoad, slowly } from "./snapshots.ts";

const right = { figures: "tasker.window_figures", fold: "tasker.fold" };
/** So many comparisons that a wrong variant is found for certain; the first ends them. */
const plenty = { checks: 5000, untilFirst: true };

test("while four writers and a folder work, every read equals the plain count in its snapshot", async (t) => {
  const { db } = await testDatabase(t);
  assert.deepEqual(await compareUnderLoad(db, right, { checks: runs(1500) }), []);
});

test("a reader that is overtaken by folds between its statements still reads one snapshot", async (t) => {
  const { db } = await testDatabase(t);
  const figures = await alteredCopy(db, "tasker.window_figures", "slow_figures", [slowly]);
  assert.deepEqual(await compareUnderLoad(db, { ...right, figures }, { checks: runs(1500) }), []);
});

test("control: a reader that takes a snapshot per statement is found out", async (t) => {
  const { db } = await testDatabase(t);
  const volatile = ["STABLE", "VOLATILE"] as const;
  const figures = await alteredCopy(db, "tasker.window_figures", "volatile_figures", [volatile, slowly]);
  assert.notDeepEqual(await compareUnderLoad(db, { ...right, figures }, plenty), []);
});

const snapshot = "select upto, open_ticks into strict v_upto, v_running from tasker.snapshot_ticks();";

/** A fold that takes everything below `upto` for ended. */
function foldTo(db: Database, name: string, upto: string): Promise<string> {
  return alteredCopy(db, "tasker.fold", name, [[snapshot, `select ${upto}, '{}' into strict v_upto, v_running;`]]);
}

test("control: a watermark at the highest tick that can be seen is found out", async (t) => {
  const { db } = await testDatabase(t);
  const fold = await foldTo(db, "fold_to_highest", "(select coalesce(max(tick), 0) + 1 from tasker.step_facts)");
  assert.notDeepEqual(await compareUnderLoad(db, { ...right, fold }, plenty), []);
});

test("control: a watermark at the end of the snapshot, whoever is open below it, is found out", async (t) => {
  const { db } = await testDatabase(t);
  const fold = await foldTo(db, "fold_to_xmax", "(select upto from tasker.snapshot_ticks())");
  assert.notDeepEqual(await compareUnderLoad(db, { ...right, fold }, plenty), []);
});

/** Lets facts carry something else than their transaction's id. */
async function replaceTick(db: Database, by: string): Promise<void> {
  await db.query({ text: `create or replace function tasker.tick() returns bigint language sql volatile as '${by}'` });
}

test("control: a watermark by time is found out", async (t) => {
  const { db } = await testDatabase(t);
  await replaceTick(db, "select tasker.microseconds(clock_timestamp() - to_timestamp(0))");
  const fold = await foldTo(db, "fold_to_time", "tasker.microseconds(clock_timestamp() - to_timestamp(0))");
  assert.notDeepEqual(await compareUnderLoad(db, { ...right, fold }, plenty), []);
});

test("control: a watermark by serial number is found out", async (t) => {
  const { db } = await testDatabase(t);
  await db.query({ text: "create sequence tasker.serial minvalue 1000000" });
  await replaceTick(db, "select nextval(''tasker.serial'')");
  const fold = await foldTo(db, "fold_to_serial", "(select last_value + 1 from tasker.serial)");
  assert.notDeepEqual(await compareUnderLoad(db, { ...right, fold }, plenty), []);
});

test("every function that reads the rollups sees the snapshot of its caller", async (t) => {
  const { db } = await testDatabase(t);
  const readers = await db.query<{ name: string; volatility: string }>({
    text: `select p.proname as name, p.provolatile as volatility from pg_proc p
      where p.pronamespace = 'tasker'::regnamespace
        and (p.prosrc ~ 'window_(figures|histograms|facts)|current_counts|step_figures' or p.proname in ('window_facts', 'current_counts'))
      order by 1`,
  });
  assert.ok(readers.length >= 7, `only ${readers.length} functions read the rollups`);
  assert.deepEqual(
    readers.filter(({ volatility }) => volatility === "v"),
    [],
  );
});
