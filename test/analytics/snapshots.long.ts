import assert from "node:assert/strict";
import { test } from "node:test";

import { testDatabase } from "../support/database.ts";
import { runs } from "../support/random.ts";
import { alteredCopy, compareUnderLoad, slowly } from "./snapshots.ts";

test("over thousands of reads beside four writers and a folder none differs from the plain count", async (t) => {
  const { db } = await testDatabase(t);
  const figures = await alteredCopy(db, "tasker.window_figures", "slow_figures", [slowly]);
  for (const variant of ["tasker.window_figures", figures]) {
    assert.deepEqual(
      await compareUnderLoad(db, { figures: variant, fold: "tasker.fold" }, { checks: runs(3_000) }),
      [],
    );
  }
});
