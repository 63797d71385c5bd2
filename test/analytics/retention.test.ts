import assert from "node:assert/strict";
import { after, test } from "node:test";

import { rollupRetentionChore, unusedAfterDays } from "../../src/analytics/retention.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { identitiesMax } from "../../src/templates/register.ts";
import { recordingLogger } from "../http/recording-logger.ts";
import { testDatabase } from "../support/database.ts";
import { createTask, foldAll, onlyRow, register, runStep, setClock, stopClock } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { startTasker } from "../support/tasker-process.ts";
import { traceAll } from "./critical-path.ts";
import { bottlenecks, figuresOf, ownTemplate, performance, within } from "./support.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

const leadership = { service: "rollup_retention", owner: "", fence: 0 };

/** Runs the chore until nothing is left to do. Returns what it logged. */
async function keep(on: Database, hoursRetentionDays: number): Promise<string[]> {
  const { logger, lines } = recordingLogger();
  const chore = rollupRetentionChore({ sql: on, intervalMs: 1, hoursRetentionDays, logger });
  for (let more = true; more;) more = await chore.runOnce(leadership);
  return lines.map(({ message }) => message);
}

/** The rows of the rollups of a grain, by table. */
async function rowsOf(on: Database, grain: string, before: string): Promise<number[]> {
  const { rows } = await onlyRow<{ rows: number[] }>(
    on,
    `select array[(select count(*) from tasker.rollups where grain = $1::"char" and bucket_start < $2),
      (select count(*) from tasker.rollup_histograms where grain = $1::"char" and bucket_start < $2),
      (select count(*) from tasker.overall_histograms where grain = $1::"char" and bucket_start < $2),
      (select count(*) from tasker.critical_paths where grain = $1::"char" and bucket_start < $2)]::integer[] as rows`,
    [grain, before],
  );
  return rows;
}

test("hours past retention go, and windows that reach back there begin at a UTC day and count what they counted", async () => {
  const template = await ownTemplate(db, { pack: [] });
  const ends = ["2026-01-01T05:00:00Z", "2026-01-10T00:10:00Z", "2026-01-10T21:30:00Z", "2026-01-11T00:00:00Z"];
  for (const [index, at] of ends.entries()) {
    await setClock(db, at);
    await createTask(db, template);
    await runStep(db, template, "pack", 2 ** index);
  }
  await foldAll(db);
  await traceAll(db);
  const now = "2026-02-10T20:20:20Z";
  const read = async (hours: number) => {
    await setClock(db, now);
    const { calculated_at: _, ...figures } = await performance(db, { ...within(template), hours });
    const { execution_count: executions, critical_path_share: share } = figuresOf(
      await bottlenecks(db, { ...within(template), hours, min_executions: 1 }),
      "pack",
    );
    return { ...figures, executions, share };
  };
  // 31 days, less an hour: it begins at 21:00 of the 10th while there are hours.
  const hours = 31 * 24 - 1;
  const before = await read(hours);
  assert.equal(before.analysis_period_start, "2026-01-10T21:00:00.000000Z");
  assert.equal(before.completed_tasks, 2);
  const all = await read(0);
  assert.deepEqual(await rowsOf(db, "h", "2026-01-11"), [6, 6, 6, 3]);

  assert.deepEqual(await keep(db, 31), ["rollups by the hour past retention deleted"]);
  assert.deepEqual(await rowsOf(db, "h", "2026-01-10"), [0, 0, 0, 0]);
  assert.deepEqual(await read(hours), before, "the last day within retention is still told by the hour");
  assert.deepEqual(await keep(db, 30), ["rollups by the hour past retention deleted"]);
  assert.deepEqual(await rowsOf(db, "h", "2026-01-11"), [0, 0, 0, 0]);
  assert.deepEqual(await rowsOf(db, "h", "2026-01-12"), [2, 2, 2, 1]);
  const aligned = await read(hours);
  assert.equal(aligned.analysis_period_start, "2026-01-10T00:00:00.000000Z");
  assert.deepEqual([aligned.completed_tasks, aligned.executions, aligned.share], [3, 3, 1]);
  assert.deepEqual([aligned.step_duration.max_seconds, aligned.average_step_duration_seconds], [8, 14 / 3]);
  assert.deepEqual(await read(0), all);
  assert.deepEqual(await keep(db, 30), []);

  // What was given up stays given up, whatever the configuration says later, and also if something old is folded into its hours.
  await setClock(db, "2026-01-10T23:00:00Z");
  await createTask(db, template);
  await runStep(db, template, "pack");
  await foldAll(db);
  await setClock(db, now);
  await keep(db, 400);
  const again = await read(hours);
  assert.deepEqual([again.analysis_period_start, again.completed_tasks], [aligned.analysis_period_start, 4]);
});

test("a window that reaches back before the oldest facts begins at an hour", async (t) => {
  const { db: own } = await testDatabase(t);
  await stopClock(own, "2131-05-01T12:00:00Z");
  await own.query({ text: "select tasker.ensure_partitions(0)" });
  await setClock(own, "2131-05-02T12:34:56Z");
  const start = async (hours: number) => (await performance(own, { hours })).analysis_period_start;
  assert.equal(await start(36), "2131-05-01T00:34:00.000000Z");
  const text = "select tasker.drop_expired_partitions($1) as dropped";
  const { dropped } = await onlyRow<{ dropped: string[] }>(own, text, [0]);
  assert.ok(dropped.includes("step_facts_21310501"));
  assert.equal(await start(36), "2131-05-01T00:00:00.000000Z");
  assert.equal(await start(12), "2131-05-02T00:34:00.000000Z");
});

test("of templates that nobody uses any more all time is kept, and they make room for others", async (t) => {
  const { db: own } = await testDatabase(t);
  await stopClock(own, "2024-06-01T12:00:00Z");
  const names = ["old", "under_way", "again", "revised", "used"] as const;
  const templates = new Map<string, Awaited<ReturnType<typeof register>>>();
  for (const name of names) {
    const template = await register(own, { pack: [], send: ["pack"] }, { name });
    templates.set(name, template);
    await createTask(own, template);
    await runStep(own, template, "pack");
    if (name !== "under_way") await runStep(own, template, "send");
  }
  const of = (name: (typeof names)[number]) => templates.get(name) ?? assert.fail(name);
  await foldAll(own);
  await traceAll(own);
  const before = await performance(own, { hours: 0 });

  await setClock(own, "2025-07-08T12:00:00Z");
  await createTask(own, of("used"));
  await runStep(own, of("used"), "pack");
  await foldAll(own);
  await register(own, { pack: [], send: ["pack"] }, { name: "revised", retry: { maxAttempts: 9 } });
  // The last moment at which 2024-06-01 is 400 days old, and the first at which it is older.
  assert.equal(unusedAfterDays, 400);
  await setClock(own, "2025-07-06T23:59:59Z");
  assert.deepEqual(await keep(own, 3650), []);
  await setClock(own, "2025-07-08T12:00:00Z");
  assert.deepEqual(await keep(own, 3650), ["unused templates keep their all-time figures only"]);
  const unused = async () =>
    (
      await own.query<{ name: string; n: number }>({
        text: `select task_name as name, count(*) as n from tasker.analytics_identities where unused_since is not null
          group by 1 order by 1`,
      })
    ).map(({ name, n }) => [name, n]);
  assert.deepEqual(await unused(), [
    ["again", 3],
    ["old", 3],
  ]);
  const { n } = await onlyRow<{ n: number }>(
    own,
    `select count(*) as n from (
        select identity_id from tasker.rollups where grain in ('h', 'd')
        union all select identity_id from tasker.rollup_histograms where grain in ('h', 'd')
        union all select identity_id from tasker.critical_paths where grain in ('h', 'd')) r
      join tasker.analytics_identities i on i.id = r.identity_id where i.unused_since is not null`,
  );
  assert.equal(n, 0);

  // All history has lost nothing, and nobody else's days are gone.
  const all = await performance(own, { hours: 0 });
  assert.deepEqual(
    [all.total_tasks, all.completed_tasks, all.step_duration.sample_size],
    [before.total_tasks + 1, before.completed_tasks, before.step_duration.sample_size + 1],
  );
  assert.equal((await performance(own, { task_name: "old", hours: 0 })).completed_tasks, 1);
  assert.notDeepEqual(await rowsOf(own, "d", "2024-07-01"), [0, 0, 0, 0]);

  // Ten identities are in use, of fifteen.
  await own.query({
    text: `insert into tasker.analytics_identities (namespace_name, task_name, version, step_name)
      select 'more', 'task', '1', 's' || n from generate_series(1, $1) n`,
    values: [identitiesMax - 9 - 3],
  });
  await register(own, { pack: [], send: ["pack"] }, { name: "fits" });
  await assert.rejects(register(own, { pack: [] }, { name: "beyond" }), { code: "too_many_identities" });

  // Who is used again counts again, with figures by the day from now on.
  await createTask(own, of("again"));
  for (const step of ["pack", "send"]) await runStep(own, of("again"), step);
  await foldAll(own);
  await keep(own, 3650);
  assert.deepEqual(await unused(), [["old", 3]]);
  assert.equal((await performance(own, { task_name: "again", hours: 24 })).completed_tasks, 1);
  assert.equal((await performance(own, { task_name: "again", hours: 0 })).completed_tasks, 2);
});

test("histograms of everything are made anew from what is left of every grain", async () => {
  const overall = () => db.query({ text: "select * from tasker.overall_histograms order by 1, 2, 3" });
  await foldAll(db);
  const before = await overall();
  assert.ok(before.length > 6);
  await db.query({ text: "select tasker.rebuild_overall_histograms()" });
  assert.deepEqual(await overall(), before);
});

test("a process of the fleet does it", async (t) => {
  const { url, db: own } = await testDatabase(t);
  await register(own, { pack: [] });
  await own.query({ text: "update tasker.analytics_identities set created_at = '2020-01-01Z'" });
  await own.query({ text: "update tasker.named_task_revisions set created_at = '2020-01-01Z'" });
  startTasker(t, ["serve"], {
    env: { DATABASE_URL: url, TASKER_HTTP_PORT: "0", TASKER_MAINTENANCE_HOURS_RETENTION_DAYS: "30" },
  });
  const state = await eventually(
    "the unused template is marked",
    () =>
      onlyRow<{ unused: number; days: number }>(
        own,
        `select (select count(*) from tasker.analytics_identities where unused_since is not null) as unused,
          (extract(epoch from date_trunc('day', now(), 'UTC') - nullif(hours_from, '-infinity')) / 86400)::integer as days
        from tasker.retention_state`,
      ),
    ({ unused }) => unused === 2,
  );
  assert.equal(state.days, 30);
});
