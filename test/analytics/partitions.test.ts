import assert from "node:assert/strict";
import { after, test } from "node:test";

import { readTask } from "../../src/engine/read-task.ts";
import { testDatabase } from "../support/database.ts";
import { createTask, foldAll, moveClock, onlyRow, runStep, setClock, stopClock } from "../support/engine.ts";
import { bottlenecks, figuresOf, ownTemplate, performance, within } from "./support.ts";

const { db } = await testDatabase({ after });
await stopClock(db, "2131-05-01T12:00:00Z");

const partitioned = ["state_deltas", "step_facts", "task_facts", "task_transitions", "workflow_step_transitions"];

/** The days that each partitioned table has a partition for, from the test's present on. */
async function daysOf(table: string): Promise<string[]> {
  const rows = await db.query<{ name: string }>({
    text: `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = $1::regclass and c.relname ~ '_2131[0-9]{4}$' order by 1`,
    values: [`tasker.${table}`],
  });
  return rows.map(({ name }) => name.slice(-8));
}

function ensure(days: number): Promise<{ made: number }> {
  return onlyRow(db, "select tasker.ensure_partitions($1) as made", [days]);
}

async function drop(retentionDays: number): Promise<string[]> {
  const text = "select tasker.drop_expired_partitions($1) as dropped";
  return (await onlyRow<{ dropped: string[] }>(db, text, [retentionDays])).dropped;
}

/** As the chore does. */
async function traceAll(): Promise<void> {
  while ((await onlyRow<{ more: boolean }>(db, "select more from tasker.trace_critical_paths(1000)")).more);
}

test("every partitioned table gets a partition for yesterday, today and the days ahead, once", async () => {
  assert.deepEqual(await ensure(2), { made: 4 * partitioned.length });
  for (const table of partitioned) {
    assert.deepEqual(await daysOf(table), ["21310430", "21310501", "21310502", "21310503"]);
  }
  assert.deepEqual(await ensure(2), { made: 0 });
  await moveClock(db, 24 * 3600);
  assert.deepEqual(await ensure(2), { made: partitioned.length });
});

test("rows lie in the partition of their day; those of a day without one are counted for the alarm", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await createTask(db, template);
  await runStep(db, template, "pack");
  assert.deepEqual(await onlyRow(db, "select tasker.default_partition_rows() as rows"), { rows: 0 });
  await setClock(db, "2131-06-01T12:00:00Z");
  await createTask(db, template);
  const { rows } = await onlyRow<{ rows: number }>(db, "select tasker.default_partition_rows() as rows");
  assert.ok(rows > 0);
  // That day gets no partition any more, and the others still do.
  assert.deepEqual((await ensure(1)).made, 3 * partitioned.length - 2);
  await setClock(db, "2131-05-02T12:00:00Z");
});

test("facts past retention go when they are folded, and no answer changes by it", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await setClock(db, "2131-05-02T12:00:00Z");
  for (const seconds of [1, 2, 60]) {
    await createTask(db, template);
    await runStep(db, template, "pack", seconds);
  }
  await foldAll(db);
  await traceAll();
  await setClock(db, "2131-05-16T23:59:59.999999Z");
  assert.deepEqual(
    (await drop(14)).filter((name) => name.endsWith("21310502")),
    [],
    "the last moment of that day is not 14 days old",
  );
  await setClock(db, "2131-05-17T12:00:00Z");
  const read = async (hours: number) => ({
    performance: await performance(db, { ...within(template), hours }),
    pack: figuresOf(await bottlenecks(db, { ...within(template), hours }), "pack"),
  });
  const before = [await read(0), await read(480)];
  await setClock(db, "2131-05-17T12:00:00Z");
  assert.deepEqual(
    (await drop(14)).filter((name) => name.endsWith("21310502")),
    ["state_deltas_21310502", "step_facts_21310502", "task_facts_21310502"],
  );
  assert.equal(
    (await onlyRow<{ n: number }>(db, "select count(*) as n from tasker.step_facts where ended_at < '2131-05-03'")).n,
    0,
  );
  assert.deepEqual([await read(0), await read(480)], before);
});

test("a partition that holds something unfolded or untraced stays, however old it is", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await setClock(db, "2131-05-03T12:00:00Z");
  await createTask(db, template);
  await runStep(db, template, "pack", 1);
  await setClock(db, "2131-08-01T12:00:00Z");
  assert.deepEqual(
    (await drop(14)).filter((name) => name.endsWith("21310503")),
    [],
  );
  await foldAll(db);
  const dropped = async () => (await drop(14)).filter((name) => name.endsWith("21310503"));
  assert.deepEqual(await dropped(), ["state_deltas_21310503", "step_facts_21310503"], "no critical path is traced yet");
  await traceAll();
  assert.deepEqual(await dropped(), ["task_facts_21310503"]);
  assert.equal((await performance(db, { ...within(template), hours: 0 })).completed_tasks, 1);
});

test("the log of transitions goes by days of its own, and no task changes by it", async () => {
  await setClock(db, "2131-09-01T12:00:00Z");
  await ensure(1);
  const template = await ownTemplate(db, { pack: [] });
  const task = await createTask(db, template);
  await runStep(db, template, "pack", 1);
  const before = await readTask(db, task);
  await setClock(db, "2131-10-01T12:00:00Z");
  const dropLogs = async (days: number): Promise<string[]> => {
    const text = "select tasker.drop_expired_transitions($1) as dropped";
    const { dropped } = await onlyRow<{ dropped: string[] }>(db, text, [days]);
    return dropped.filter((name) => name.includes("_213109"));
  };
  assert.deepEqual(await dropLogs(30), []);
  assert.deepEqual(await dropLogs(29), ["task_transitions_21310901", "workflow_step_transitions_21310901"]);
  assert.deepEqual(
    await db.query({ text: "select from tasker.task_transitions where task_id = $1", values: [task] }),
    [],
  );
  assert.deepEqual(await readTask(db, task), before);
  assert.equal((await drop(1)).filter((name) => name.endsWith("21310901")).length, 0, "facts that are not folded stay");
});

test("a day of the log that somebody reads is left to the next run", async () => {
  const text = "select tasker.drop_expired_transitions(1) as dropped";
  await setClock(db, "2131-11-01T12:00:00Z");
  await ensure(0);
  await setClock(db, "2131-12-01T12:00:00Z");
  await db.transaction(async (sql) => {
    await sql.query({ text: "select count(*) from tasker.task_transitions" });
    assert.deepEqual(await onlyRow(db, text), { dropped: [] });
  });
  assert.ok((await onlyRow<{ dropped: string[] }>(db, text)).dropped.includes("task_transitions_21311101"));
});
