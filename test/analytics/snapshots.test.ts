import assert from "node:assert/strict";
import { test } from "node:test";

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

const horizon = "v_horizon := tasker.horizon();";

test("control: a watermark at the highest tick that can be seen is found out", async (t) => {
  const { db } = await testDatabase(t);
  const highest = "select coalesce(max(tick), 0) + 1 into v_horizon from tasker.step_facts;";
  const fold = await alteredCopy(db, "tasker.fold", "fold_to_highest", [[horizon, highest]]);
  assert.notDeepEqual(await compareUnderLoad(db, { ...right, fold }, plenty), []);
});

test("control: a watermark at the end of the snapshot instead of its horizon is found out", async (t) => {
  const { db } = await testDatabase(t);
  const xmax = "v_horizon := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;";
  const fold = await alteredCopy(db, "tasker.fold", "fold_to_xmax", [[horizon, xmax]]);
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
