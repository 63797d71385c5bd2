import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";

import { exitCodeOf, explain } from "../../src/cli/explain.ts";
import { createProgram } from "../../src/cli/program.ts";
import { examineEngine } from "../../src/engine/doctor/checks.ts";
import { recountTasks } from "../../src/engine/doctor/counters.ts";
import { Elections } from "../../src/engine/leadership.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { recordedTerminal } from "../cli/terminals.ts";
import { type Scope, testDatabase } from "../support/database.ts";
import {
  claim,
  createTask,
  failStep,
  findStep,
  onlyRow,
  register,
  runStep,
  settle,
  statesOf,
  success,
  type TestTemplate,
  untilBlocked,
} from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { codeBlocks } from "../support/documents.ts";
import { listen } from "./notices.ts";

interface System {
  readonly url: string;
  readonly db: Database;
  readonly template: TestTemplate;
  /** What is wrong, as `check: subject problem`, with the ids of this test's task by their names. */
  readonly wrong: () => Promise<string[]>;
  readonly doctor: (...args: string[]) => Promise<{ code: number; out: string; message: string }>;
}

/** Tasks in every state, and a leader for each chore. */
async function setup(scope: Scope): Promise<System> {
  const { db, url } = await testDatabase(scope);
  const template = await register(db, { pack: [], weigh: [], send: ["pack", "weigh"] });
  const elections = new Elections(db, 3_600_000);
  for (const chore of ["fold", "rescue"]) assert.ok(await elections.lead(chore));
  const [done, failed] = [await createTask(db, template), await createTask(db, template)];
  await settle(db, ...(await claim(db, template, { limit: 3 })).map((held) => success(held)));
  await failStep(db, template, "weigh");
  await runStep(db, template, "send");
  assert.deepEqual([(await statesOf(db, done)).task, (await statesOf(db, failed)).task], ["complete", "error"]);
  await createTask(db, template);
  const wrong = async () =>
    (await examineEngine(db, { tasks: 1000 })).map(({ check, subject, problem }) => `${check}: ${subject} ${problem}`);
  const doctor: System["doctor"] = async (...args) => {
    const { terminal, out } = recordedTerminal();
    try {
      await createProgram({ terminal, env: { DATABASE_URL: url } }).parseAsync(["doctor", ...args], { from: "user" });
      return { code: 0, out: out(), message: "" };
    } catch (error) {
      return { code: exitCodeOf(error), out: out(), message: explain(error) };
    }
  };
  return { url, db, template, wrong, doctor };
}

/** A task of which both first steps are done and the release of the last was lost. */
async function forget({ db, template }: System): Promise<{ task: string; send: string }> {
  const task = await createTask(db, template, { priority: 9 });
  await runStep(db, template, "pack");
  await runStep(db, template, "weigh");
  const send = await findStep(db, task, "send");
  await db.query({
    text: `update tasker.workflow_steps set state = 'pending', ready_at = null, available_at = null, unmet_dependencies = 1 where id = $1`,
    values: [send],
  });
  await db.query({ text: "update tasker.tasks set runnable_steps = 0 where id = $1", values: [task] });
  return { task, send };
}

describe("tasker doctor", { timeout: 120_000 }, () => {
  test("finds nothing wrong with a database that is as it should be, and ends with 0", async (t) => {
    const { db, doctor } = await setup(t);
    const { code, out, message } = await doctor();
    assert.deepEqual([code, message], [0, ""], out);
    assert.match(out, /^tasks {3}all 3 recounted\ncounts {2}by state recounted\nnothing is wrong\n$/u);
    const { tasks_examined, findings } = JSON.parse((await doctor("--json")).out) as Record<string, unknown>;
    assert.deepEqual([tasks_examined, findings], [3, []]);
    await db.query({ text: "analyze tasker.tasks" });
    assert.match(
      (await doctor("--tasks", "2")).out,
      /newest 2 of about 3 recounted\ncounts {2}by state not recounted: --tasks/u,
    );
  });

  test("names a counter that is wrong, and --fix sets it to the recount", async (t) => {
    const { db, template, wrong, doctor } = await setup(t);
    const task = await createTask(db, template);
    const send = await findStep(db, task, "send");
    await db.query({
      text: "update tasker.tasks set runnable_steps = 1, unfinished_steps = 2 where id = $1",
      values: [task],
    });
    await db.query({ text: "update tasker.workflow_steps set unmet_dependencies = 3 where id = $1", values: [send] });
    assert.deepEqual(await wrong(), [
      `counters: task ${task} runnable_steps is 1, a recount finds 2`,
      `counters: task ${task} unfinished_steps is 2, a recount finds 3`,
      `counters: step ${send} of task ${task} unmet_dependencies is 3, a recount finds 2`,
    ]);
    const told = await doctor();
    assert.equal(told.code, 1);
    assert.match(told.message, /needs 3 mends$/u);
    assert.match(told.out, / {2}mend: tasker doctor --fix/u);
    const { code, out } = await doctor("--fix");
    assert.equal(code, 0, out);
    assert.match(out, /^fixed {3}2 rows of 1 task$/mu);
    assert.deepEqual(await recountTasks(db, { tasks: 1000 }), { tasks: 0, changed: 0 });
  });

  test("finds a step whose release was lost; --fix enqueues it, tells the workers, and the task runs to its end", async (t) => {
    const system = await setup(t);
    const { url, db, template, wrong } = system;
    const { task, send } = await forget(system);
    assert.deepEqual(await wrong(), [
      `counters: step ${send} of task ${task} unmet_dependencies is 1, a recount finds 0`,
      `stuck: task ${task} has not ended, and none of its steps can run`,
    ]);
    const { next } = await listen(t, url);
    assert.deepEqual(await recountTasks(db, { tasks: 1000 }), { tasks: 1, changed: 2 });
    assert.match(await next(), /^work:\d+$/u);
    assert.deepEqual(await wrong(), []);
    assert.equal((await statesOf(db, task)).steps["send"], "enqueued");
    await runStep(db, template, "send");
    assert.equal((await statesOf(db, task)).task, "complete");
    assert.deepEqual(await wrong(), []);
  });

  test("--fix ends a task whose end was lost", async (t) => {
    const { db, template, wrong } = await setup(t);
    const task = await createTask(db, template, { priority: 9 });
    for (const step of ["pack", "weigh", "send"]) await runStep(db, template, step);
    await db.query({
      text: "update tasker.tasks set state = 'in_progress', ended_at = null, unfinished_steps = 1 where id = $1",
      values: [task],
    });
    assert.equal((await wrong()).length, 2);
    await recountTasks(db, { tasks: 1000 });
    assert.equal((await statesOf(db, task)).task, "complete");
    assert.deepEqual(await wrong(), []);
  });

  test("a recount waits for a batch that holds the task, and counts what that did", async (t) => {
    const { db, template, wrong } = await setup(t);
    const task = await createTask(db, template, { priority: 9 });
    const [pack] = await claim(db, template, { limit: 1 });
    assert.ok(pack);
    await db.query({ text: "update tasker.tasks set runnable_steps = 3 where id = $1", values: [task] });
    const { recount } = await db.transaction(async (sql) => {
      await settle(sql, success(pack));
      const waiting = recountTasks(db, { tasks: 1000 });
      await untilBlocked(db, 1);
      return { recount: waiting };
    });
    assert.deepEqual(await recount, { tasks: 1, changed: 1 });
    const text = "select runnable_steps as runnable from tasker.tasks where id = $1";
    assert.equal((await onlyRow<{ runnable: number }>(db, text, [task])).runnable, 1);
    assert.deepEqual(await wrong(), []);
  });

  test("names leases that nobody rescues, chores that nobody leads, and a database without maintenance", async (t) => {
    const { db, template, wrong } = await setup(t);
    await db.query({ text: "update tasker.service_leases set expires_at = '-infinity' where service = 'rescue'" });
    const [held] = await claim(db, template, { limit: 1 });
    const text =
      "update tasker.workflow_steps set lease_expires_at = tasker.clock() - interval '2 minutes' where id = $1";
    await db.query({ text, values: [held?.stepId] });
    const [lease, leader, ...others] = await wrong();
    assert.match(lease ?? "", /^leases: step .* is in progress by a lease that ended at .*Z, and nobody rescues it$/u);
    assert.deepEqual([leader, others], ["leaders: the chore rescue has no leader", []]);
    await db.query({ text: "delete from tasker.service_leases" });
    assert.equal((await wrong())[1], "leaders: maintenance has no leader");
  });

  test("names missing partitions and rows that came without one", async (t) => {
    const { db, wrong } = await setup(t);
    await db.query({
      text: `do $$ begin execute format('drop table tasker.step_facts_%s', to_char((tasker.clock() at time zone 'UTC')::date + 2, 'YYYYMMDD')); end $$`,
    });
    await db.query({
      text: "insert into tasker.task_transitions (task_id, to_state, life, recorded_at) values (gen_random_uuid(), 'pending', 1, '2026-01-05 12:00+00')",
    });
    const [missing, strays, ...others] = await wrong();
    assert.match(missing ?? "", /^partitions: table tasker\.step_facts has no partition for \d{4}-\d\d-\d\d$/u);
    assert.match(
      strays ?? "",
      /^strays: table tasker\.task_transitions_default holds 1 rows, for days that had no partition/u,
    );
    assert.deepEqual(others, []);
    // As docs/operations.md moves them.
    const page = { path: "docs/operations.md", text: readFileSync("docs/operations.md", "utf8") };
    const move = codeBlocks(page).find(({ language }) => language === "sql");
    await db.query({ text: move?.text ?? "" });
    await db.query({ text: "select tasker.ensure_partitions(7)" });
    assert.deepEqual(await wrong(), []);
    const moved = "select count(*) as n from tasker.task_transitions_20260105";
    assert.equal((await onlyRow<{ n: number }>(db, moved)).n, 1);
  });

  test("names a table that autovacuum leaves alone", async (t) => {
    const { db, wrong } = await setup(t);
    await db.query({ text: "alter table tasker.tasks set (autovacuum_enabled = false)" });
    assert.deepEqual(await wrong(), ["bloat: table tasker.tasks autovacuum is off for it"]);
  });

  test("names the transaction that keeps dead rows, and the table that is full of them", async (t) => {
    const { db, wrong } = await setup(t);
    await db.transaction(
      async (sql) => {
        // Its snapshot: nothing that is deleted from now on can be removed.
        await sql.query({ text: "select from tasker.tasks" });
        await db.query({
          text: `insert into tasker.api_keys (id, name, key_sha256, permissions)
            select gen_random_uuid(), 'k', sha256(n::text::bytea), '{}' from generate_series(1, 12000) n`,
        });
        await db.query({ text: "delete from tasker.api_keys" });
        const full = await eventually("the statistics have it", wrong, (found) => found.length > 0);
        assert.match(
          full.join("; "),
          /^bloat: table tasker\.api_keys 12000 dead rows beside 0 live ones; autovacuum was due at \d+/u,
        );
        await db.query({
          text: `create or replace function tasker.clock() returns timestamptz language sql volatile
            as 'select clock_timestamp() + interval ''61 minutes'''`,
        });
        const [old, ...others] = (await wrong()).filter((found) => found.startsWith("horizon"));
        assert.match(old ?? "", /^horizon: tasker tests \(\w+\) holds a transaction open since .*Z: no dead row/u);
        assert.deepEqual(others, []);
      },
      { isolation: "repeatable read" },
    );
    assert.ok(!(await wrong()).some((found) => found.startsWith("horizon")));
  });

  test("names what differs from what the migrations made", async (t) => {
    const { db, doctor } = await setup(t);
    await db.query({
      text: "create or replace function tasker.clock() returns timestamptz language sql volatile as 'select now()'",
    });
    await db.query({ text: "drop index tasker.workflow_steps_backlog" });
    await db.query({ text: "create index mine on tasker.tasks (tags)" });
    await db.query({ text: "create table tasker.notes (text text)" });
    await db.query({ text: "alter table tasker.api_keys alter name drop not null" });
    await db.query({ text: "select tasker.fold(1000000)" });
    await db.query({
      text: "update tasker.state_counts set count = count + 1 where subject = 'task' and state = 'pending'",
    });
    assert.match(
      (await doctor()).out,
      /counts: tasks pending of shop\/order 1\.0\.0 the analytics count 2, a recount finds 1/u,
    );
    await db.query({ text: "update tasker.tick_generation set system_identifier = '1'" });
    const { code, out } = await doctor("--json");
    assert.equal(code, 1);
    const { findings } = JSON.parse(out) as { findings: { check: string; subject: string; problem: string }[] };
    const schema = findings
      .filter(({ check }) => check === "schema")
      .map(({ subject, problem }) => `${subject} ${problem}`);
    assert.deepEqual(schema.toSorted(), [
      "column api_keys.name is not what the migrations made",
      "column notes.text was not made by a migration",
      "function clock() is not what the migrations made",
      "index mine on tasks was not made by a migration",
      "index workflow_steps_backlog on workflow_steps is not there",
      "table notes was not made by a migration",
    ]);
    assert.ok(
      findings.some(
        ({ check, problem }) => check === "restore guard" && problem.startsWith("was moved to another cluster"),
      ),
    );
  });

  test("of a database that lacks migrations it tells that alone", async (t) => {
    const { db, doctor } = await setup(t);
    await db.query({ text: "delete from tasker.schema_migrations where name like '0050%'" });
    const { code, out } = await doctor();
    assert.equal(code, 1);
    assert.equal(
      out,
      "only the schema was examined: the rest needs what it lacks\n\nschema: migration 0050-doctor.sql is not applied\n  mend: tasker migrate\n",
    );
  });
});
