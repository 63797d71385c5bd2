import assert from "node:assert/strict";
import { after, test } from "node:test";

import { defaultBottlenecks } from "../../src/analytics/parameters.ts";
import type { Sql } from "../../src/postgres/sql.ts";
import { openTestPool, testDatabase } from "../support/database.ts";
import { onlyRow, stopClock } from "../support/engine.ts";
import { seed } from "../seed-history/support.ts";
import { analyticsOf } from "./support.ts";

const database = await testDatabase({ after });
// The window must not move from one call to the next.
await stopClock(database.db);
await seed(database, { tasks: 2000, days: 20 }, { factsRetentionDays: 14 });

const hours = 30;

/** The rows that the tables of the analytics gave to statements while `work` ran on this connection. */
async function rowsVisited(sql: Sql, work: () => Promise<unknown>): Promise<number> {
  const visited = async (): Promise<number> => {
    // Sessions report what they did now and then only; this one does it with the next statement's end.
    await sql.query({ text: "select pg_stat_force_next_flush()" });
    const text = `select (sum(seq_tup_read) + sum(coalesce(idx_tup_fetch, 0)))::bigint as rows from pg_stat_user_tables
      where schemaname = 'tasker' and relname ~ '^(step_facts|task_facts|state_deltas|rollup)'`;
    return (await onlyRow<{ rows: number }>(sql, text)).rows;
  };
  const before = await visited();
  await work();
  return (await visited()) - before;
}

/** What each of many calls on one new connection visits. */
async function visitsOfCalls(): Promise<number[]> {
  const session = openTestPool(database.url, 1);
  try {
    const service = analyticsOf(session);
    const visits: number[] = [];
    for (let call = 0; call < 12; call++) {
      visits.push(
        await rowsVisited(session, async () => {
          await service.performance({ hours });
          await service.bottlenecks({ ...defaultBottlenecks, hours });
        }),
      );
    }
    const { n } = await onlyRow<{ n: number }>(session, "select count(*) as n from pg_prepared_statements");
    assert.equal(n, 0, "statements whose plans the session would keep");
    return visits;
  } finally {
    await session.close();
  }
}

test("the sixth call on a connection reads what the first one read: no plan is kept that knows no window", async () => {
  const [first = 0, ...others] = await visitsOfCalls();
  assert.ok(first > 1000, `the calls read ${first} rows only`);
  assert.deepEqual(
    others,
    others.map(() => first),
  );
});

test("plans that are kept would be noticed", async (t) => {
  const [planned = 0] = await visitsOfCalls();
  const setMode = (mode: string) =>
    database.db.query({
      text: `alter function tasker.window_figures(timestamptz, timestamptz, integer[]) set plan_cache_mode = ${mode}`,
    });
  t.after(() => setMode("force_custom_plan"));
  await setMode("force_generic_plan");
  const [generic = 0] = await visitsOfCalls();
  assert.ok(generic > planned, `${generic} rows against ${planned}`);
});
