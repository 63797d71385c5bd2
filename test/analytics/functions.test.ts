import assert from "node:assert/strict";
import { after, test } from "node:test";

import type { Sql } from "../../src/postgres/sql.ts";
import { testDatabase } from "../support/database.ts";
import { createTask, fold, foldAll, onlyRow, register, runStep, setClock, stopClock } from "../support/engine.ts";

// The four functions as somebody calls them from psql.
const { db } = await testDatabase({ after });
await stopClock(db, "2026-03-07T22:30:00Z");

const calls = [
  "tasker.get_analytics_metrics()",
  "tasker.get_system_health_counts()",
  "tasker.get_slowest_steps_aggregated()",
  "tasker.get_slowest_tasks_aggregated()",
  "tasker.get_analytics_metrics(p_hours => 49)",
  "tasker.get_slowest_steps_aggregated(p_hours => 72, p_min_executions => 1, p_limit => 100, p_sort => 'p95_duration')",
];

/** What the functions say. Epochs instead of times: those look different in every time zone. */
async function answers(sql: Sql): Promise<unknown[]> {
  const all: unknown[] = [];
  for (const call of calls) {
    const rows = await sql.query<{ row: Record<string, unknown> }>({
      text: `select to_jsonb(f) as row from ${call} f`,
    });
    all.push(
      ...rows.map(({ row }) =>
        Object.entries(row).map(([name, value]) => [
          name,
          /_at$|^period_/u.test(name) ? Date.parse(String(value)) : value,
        ]),
      ),
    );
  }
  return all;
}

test("with their defaults the functions speak of the last 24 hours, all templates and five executions", async () => {
  const template = await register(db, { pack: [], send: ["pack"] });
  for (let i = 0; i < 5; i++) {
    await createTask(db, template);
    await runStep(db, template, "pack", 2);
    if (i > 0) await runStep(db, template, "send", 1);
  }
  const metrics = await onlyRow(
    db,
    "select completed_tasks, total_tasks, step_executions, average_step_duration_seconds as mean from tasker.get_analytics_metrics()",
  );
  assert.deepEqual(metrics, { completed_tasks: 4, total_tasks: 5, step_executions: 9, mean: 14 / 9 });
  const steps = await db.query({ text: "select step_name from tasker.get_slowest_steps_aggregated()" });
  assert.deepEqual(steps, [{ step_name: "pack" }], "the other one has four executions");
  assert.deepEqual(await db.query({ text: "select * from tasker.get_slowest_tasks_aggregated()" }), []);
  const health = await onlyRow(db, "select total_tasks, total_steps from tasker.get_system_health_counts()");
  assert.deepEqual(health, { total_tasks: 5, total_steps: 10 });
});

test("a session's time zone changes no answer, and neither does that of a folder", async () => {
  const template = await register(db, { pack: [] }, { name: "zoned" });
  // Both sides of midnight here, there, and of the hour that a summer time leaves out.
  for (const at of ["2026-03-07T23:59:00Z", "2026-03-08T00:59:00Z", "2026-03-08T01:00:00Z", "2026-03-08T22:01:00Z"]) {
    await setClock(db, at);
    await createTask(db, template);
    await runStep(db, template, "pack", 1);
  }
  // 49 hours back is 01:30, from where on a day has 23 hours in New York: its summer time begins.
  await setClock(db, "2026-03-10T02:30:00Z");
  const inUtc = await answers(db);
  const inZone = (zone: string, work: (sql: Sql) => Promise<unknown>) =>
    db.transaction(async (sql) => {
      await sql.query({ text: `set local timezone = '${zone}'` });
      return work(sql);
    });
  const zones = ["Europe/Berlin", "Pacific/Apia", "Asia/Kathmandu", "America/New_York"];
  for (const zone of zones) assert.deepEqual(await inZone(zone, answers), inUtc, zone);
  for (const zone of zones) await inZone(zone, (sql) => fold(sql, 3));
  await inZone("Europe/Berlin", (sql) => fold(sql));
  await foldAll(db);
  assert.deepEqual(await answers(db), inUtc);
  for (const zone of zones) assert.deepEqual(await inZone(zone, answers), inUtc, zone);
});
