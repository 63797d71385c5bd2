import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { Sql } from "../../src/postgres/sql.ts";
import { testDatabase } from "../support/database.ts";
import { createTask, foldAll, onlyRow, register, runStep, stopClock } from "../support/engine.ts";
import { folded, seed } from "./support.ts";

const untilUs = Date.UTC(2026, 2, 10, 12, 34) * 1000;

/** The partitions of step facts, each with its indexes' definitions without their names. */
function partitionsOf(sql: Sql): Promise<{ name: string; indexes: string[]; checks: number }[]> {
  return sql.query({
    text: `select c.relname as name, array(select regexp_replace(pg_get_indexdef(x.indexrelid), '^.* USING ', '')
          from pg_index x where x.indrelid = c.oid and x.indisvalid
            and exists (select from pg_inherits h where h.inhrelid = x.indexrelid) order by 1) as indexes,
        (select count(*) from pg_constraint k where k.conrelid = c.oid and k.contype = 'c') as checks
      from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'tasker.step_facts'::regclass order by 1`,
  });
}

describe("the days of a seeded history", () => {
  test("are partitions like those that maintenance makes", async (t) => {
    const { db, url, ...rest } = await testDatabase(t);
    const before = await partitionsOf(db);
    await seed({ db, url, ...rest }, {}, { untilUs });
    const after = await partitionsOf(db);
    assert.equal(after.length, before.length + 13);
    const alike = { indexes: before[0]?.indexes, checks: 0 };
    assert.ok((alike.indexes?.length ?? 0) > 1);
    for (const { indexes, checks } of after) assert.deepEqual({ indexes, checks }, alike);
  });

  test("are filled where they are: in a partition, or in the default one with what lies there already", async (t) => {
    const database = await testDatabase(t);
    const { db } = database;
    await db.query({
      text: `create table tasker.step_facts_20260305 partition of tasker.step_facts
        for values from ('2026-03-05 00:00:00+00') to ('2026-03-06 00:00:00+00')`,
    });
    await db.query({
      text: `insert into tasker.step_facts (ended_at, tick, dependency_wait_us, queue_wait_us, retry_us, run_us, task_id, identity_id,
          attempts, failed_attempts, outcome, reopened)
        values ('2026-03-07 10:00:00+00', 0, 1, 1, 1, 1, gen_random_uuid(), 1, 1, 0, 'complete', false)`,
    });
    const { steps } = await seed(database, {}, { untilUs });
    const counted = await onlyRow<{ all: number; made: number; left: number; others: number }>(
      db,
      `select count(*) as all, count(*) filter (where place = 'tasker.step_facts_20260305'::regclass) as made,
          count(*) filter (where place = 'tasker.step_facts_default'::regclass) as left,
          count(*) filter (where place = 'tasker.step_facts_default'::regclass and day <> '2026-03-07') as others
        from (select tableoid as place, (ended_at at time zone 'UTC')::date::text as day from tasker.step_facts) f`,
    );
    assert.equal(counted.all, steps + 1);
    assert.ok(counted.made > 0 && counted.left > 1);
    assert.equal(counted.others, 0);
  });

  test("add to the histograms of everything that others have a part in", async (t) => {
    const database = await testDatabase(t);
    const { db } = database;
    await stopClock(db);
    const template = await register(db, { only: [] });
    await createTask(db, template);
    await runStep(db, template, "only", 2);
    await foldAll(db);
    await seed(database, { tasks: 400 }, { force: true });
    await seed(database, { tasks: 300, seed: 4 }, { force: true });
    const { overall } = await folded(db);
    await db.query({
      text: "select tasker.rebuild_overall_histograms(), tasker.rebuild_five_minutes(), tasker.rebuild_quarter_days()",
    });
    assert.deepEqual(overall, (await folded(db)).overall);
  });

  test("leave nothing of step facts when the run fails, not even tables", async (t) => {
    const { db, url, ...rest } = await testDatabase(t);
    const tables = "select count(*) as n from pg_class where relname like 'step_facts%'";
    const before = await onlyRow(db, tables);
    const stopped = new Error("stopped");
    const fail = (): never => {
      throw stopped;
    };
    await assert.rejects(seed({ db, url, ...rest }, {}, { untilUs, onProgress: fail }), stopped);
    assert.deepEqual(await onlyRow(db, tables), before);
  });
});
