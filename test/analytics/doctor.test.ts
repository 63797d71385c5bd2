import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { examineAnalytics } from "../../src/analytics/doctor.ts";
import { exitCodeOf, explain } from "../../src/cli/explain.ts";
import { createProgram } from "../../src/cli/program.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { recordedTerminal } from "../cli/terminals.ts";
import { type Scope, testDatabase } from "../support/database.ts";
import {
  claim,
  create,
  createTask,
  failStep,
  foldAll,
  moveClock,
  onlyRow,
  register,
  runStep,
  stepIdOf,
  stopClock,
  type TestTemplate,
} from "../support/engine.ts";

interface System {
  readonly db: Database;
  readonly template: TestTemplate;
  readonly doctor: (...args: string[]) => Promise<{ code: number; out: string; message: string }>;
}

/** A database whose tasks ended over four days, some of it folded, some not, some still to do. */
async function setup(t: Scope): Promise<System> {
  const { db, url } = await testDatabase(t);
  await stopClock(db);
  const template = await register(db, { pack: [], send: ["pack"] }, { retry: { maxAttempts: 2 } });
  for (let hour = 0; hour < 96; hour += 8) {
    await create(db, template, [{}, {}, {}]);
    await runStep(db, template, "pack", 2 + hour / 10);
    if (hour % 3 === 0) await failStep(db, template, "pack", { retryAfterSeconds: 1 });
    await runStep(db, template, "send", 1);
    if (hour === 64) await foldAll(db);
    await moveClock(db, 8 * 3600);
  }
  await createTask(db, template);
  await claim(db, template, { limit: 2 });
  const doctor: System["doctor"] = async (...args) => {
    const { terminal, out } = recordedTerminal();
    try {
      const program = createProgram({ terminal, env: { DATABASE_URL: url } });
      await program.parseAsync(["doctor", ...args], { from: "user" });
      return { code: 0, out: out(), message: "" };
    } catch (error) {
      return { code: exitCodeOf(error), out: out(), message: explain(error) };
    }
  };
  return { db, template, doctor };
}

const wide = { hours: 90, seed: 14, factsRetentionDays: 14 };

describe("tasker doctor --analytics", () => {
  test("finds a healthy database healthy, whatever window it looks at, folded or not", async (t) => {
    const { db, doctor } = await setup(t);
    for (let round = 0; round < 2; round++) {
      for (const seed of [1, 2, 3, 4]) {
        const { differences, facts } = await examineAnalytics(db, { ...wide, seed });
        assert.deepEqual(differences, []);
        assert.ok(facts > 0);
      }
      await foldAll(db);
    }
    const { code, out, message } = await doctor("--analytics", "--hours", "90", "--seed", "7");
    assert.deepEqual([code, message], [0, ""]);
    assert.match(out, /\(--seed 7\): \d+ facts recounted\n/u);
    assert.match(out, /37 tasks and 74 steps recounted by state\nno difference\n$/u);
    assert.equal((await doctor("--analytics", "--hours", "90", "--seed", "7")).out, out, "a seed repeats the choice");
  });

  test("names the step and the figure of a rollup that is wrong, and ends with 1", async (t) => {
    const { db, template, doctor } = await setup(t);
    await foldAll(db);
    const id = stepIdOf(template, "send");
    await db.query({
      text: `update tasker.rollups set completed = completed + 1, duration_us = duration_us - 5
        where grain = 'q' and identity_id = $1 and bucket_start = (
          select max(bucket_start) from tasker.rollups where grain = 'q' and identity_id = $1)`,
      values: [id],
    });
    await db.query({
      text: `update tasker.rollup_histograms set counts[1] = counts[1] + 3 where grain = 'q' and identity_id = $1 and bucket_start = (
        select max(bucket_start) from tasker.rollup_histograms where grain = 'q' and identity_id = $1)`,
      values: [id],
    });
    const { window_start, differences } = await examineAnalytics(db, wide);
    assert.ok(window_start < "2026-03-13", "the window reaches over what was changed");
    const about = { namespace_name: "shop", task_name: "order", version: "1.0.0", step_name: "send" };
    assert.ok(
      differences.every(({ namespace_name, task_name, version, step_name }) => {
        assert.deepEqual({ namespace_name, task_name, version, step_name }, about);
        return true;
      }),
    );
    const off = differences.map(({ field, analytics, recounted }) => [
      field.replace(/\d+/u, "n"),
      Number(analytics) - Number(recounted),
    ]);
    assert.deepEqual(off, [
      ["completed", 1],
      ["duration_us", -5],
      ["histogram bucket n", 3],
      ["quarter-day completed", 1],
      ["quarter-day duration_us", -5],
    ]);
    const { code, out, message } = await doctor("--analytics", "--hours", "90", "--seed", "14");
    assert.equal(code, 1);
    assert.match(message, /^the analytics of .* are wrong in 5 figures$/u);
    assert.match(out, /^shop\/order 1\.0\.0 send +completed +\d+ +\d+$/mu);
  });

  test("names an hour's figure that no window reads, because its quarter of a day is read", async (t) => {
    const { db, template } = await setup(t);
    await foldAll(db);
    await db.query({
      text: "update tasker.rollups set failed = failed + 2 where grain = 'h' and identity_id = $1 and bucket_start = '2026-03-13 12:00Z'",
      values: [stepIdOf(template, "pack")],
    });
    const { differences } = await examineAnalytics(db, wide);
    assert.deepEqual(
      differences.map(({ step_name, field, analytics, recounted }) => [
        step_name,
        field,
        Number(analytics) - Number(recounted),
      ]),
      [["pack", "quarter-day failed", -2]],
    );
  });

  test("names the state whose count is wrong, and lets deleted rows of the past be", async (t) => {
    const { db } = await setup(t);
    await foldAll(db);
    const of = async () =>
      (await examineAnalytics(db, wide)).differences.map(({ field, analytics, recounted }) => [
        field,
        analytics,
        recounted,
      ]);
    await db.query({ text: "delete from tasker.workflow_steps where state = 'complete'" });
    assert.deepEqual(await of(), []);
    await db.query({
      text: "update tasker.state_counts set count = count + 2 where subject = 'step' and state = 'in_progress'",
    });
    await db.query({ text: "update tasker.state_counts set count = 0 where subject = 'task' and state = 'pending'" });
    const [running, pending, ...others] = await of();
    assert.deepEqual(running, ["steps in_progress", 4, 2]);
    assert.deepEqual([pending?.[0], pending?.[1], others.length], ["tasks pending", 0, 0]);
    assert.ok(Number(pending?.[2]) > 0);
    await db.query({ text: "update tasker.state_counts set count = 0 where subject = 'task' and state = 'complete'" });
    assert.ok((await of()).some(([field]) => field === "tasks complete"));
  });

  test("names what is wrong in the histograms of everything, of the window and of all time", async (t) => {
    const { db, doctor } = await setup(t);
    await foldAll(db);
    const off = async () =>
      (await examineAnalytics(db, wide)).differences.map(({ namespace_name, field, analytics, recounted }) => [
        namespace_name,
        field.replace(/\d+/u, "n"),
        Number(analytics) - Number(recounted),
      ]);
    await db.query({
      text: `update tasker.overall_histograms set counts[1] = counts[1] + 3 where grain = 'q' and not is_task and bucket_start = (
        select max(bucket_start) from tasker.overall_histograms where grain = 'q' and not is_task)`,
    });
    assert.deepEqual(await off(), [[null, "histogram bucket n of all steps", 3]]);
    const { code, out } = await doctor("--analytics", "--hours", "90", "--seed", "14");
    assert.equal(code, 1);
    assert.match(out, /^everything +histogram bucket \d+ of all steps +\d+ +\d+$/mu);
    await db.query({
      text: "update tasker.overall_histograms set counts[1] = counts[1] - 2 where grain = 'a' and is_task",
    });
    assert.deepEqual(await off(), [
      [null, "histogram bucket n of all steps", 3],
      [null, "all-time histogram bucket n of all tasks", -2],
    ]);
  });

  test("names the figure and the histogram of all time that its days do not add up to", async (t) => {
    const { db, template } = await setup(t);
    await foldAll(db);
    const values = [stepIdOf(template, "pack")];
    await db.query({
      text: "update tasker.rollups set failed = failed + 4, max_duration_us = max_duration_us + 1 where grain = 'a' and identity_id = $1",
      values,
    });
    // With the histogram of everything, which is compared with it.
    await db.query({
      text: "update tasker.rollup_histograms set counts[1] = counts[1] + 3 where grain = 'a' and identity_id = $1",
      values,
    });
    const { differences } = await examineAnalytics(db, wide);
    const off = differences.map(({ step_name, field, analytics, recounted }) => [
      step_name,
      field.replace(/\d+/u, "n"),
      Number(analytics) - Number(recounted),
    ]);
    assert.deepEqual(off, [
      ["pack", "all-time failed", 4],
      ["pack", "all-time max_duration_us", 1],
      ["pack", "all-time histogram bucket n", 3],
      [null, "all-time histogram bucket n of all steps", -3],
    ]);
  });

  test("names the step and the day whose critical paths do not add up", async (t) => {
    const { db } = await setup(t);
    await foldAll(db);
    await db.query({ text: "select tasker.trace_critical_paths(100000)" });
    assert.deepEqual((await examineAnalytics(db, wide)).differences, []);
    const { rowCount } = await onlyRow<{ rowCount: number }>(
      db,
      `with wrong as (update tasker.critical_paths set owned_us = owned_us + 7 where (grain, bucket_start, identity_id) = (
          select grain, bucket_start, identity_id from tasker.critical_paths where grain = 'd'
            order by bucket_start, identity_id limit 1) returning 1)
        select count(*) as "rowCount" from wrong`,
    );
    assert.equal(rowCount, 1);
    const { differences } = await examineAnalytics(db, wide);
    const off = differences.map(({ field, analytics, recounted }) => [
      field.replace(/\d{4}-\d\d-\d\d/u, "a day"),
      Number(analytics) - Number(recounted),
    ]);
    assert.deepEqual(off, [
      ["critical path of all time, us", -7],
      ["critical path of a day, us", 7],
    ]);
    assert.ok(differences.every(({ namespace_name, step_name }) => namespace_name === "shop" && step_name !== null));
  });

  test("says what it needs", async (t) => {
    const { doctor } = await setup(t);
    const messages = [
      [["--analytics", "--fix"], /--fix mends counters, nothing of --analytics/u, 1],
      [["--tasks", "0"], /--tasks must be from 1 to 100000000, got 0/u, 1],
      [["--analytics", "--hours", "337"], /--hours must be from 1 to 336, got 337: facts are kept for 14 days/u, 1],
      [["--analytics", "--hours", "0"], /--hours must be from 1 to 336/u, 1],
      [["--analytics", "--seed", "x"], /Expected a whole number/u, 2],
    ] as const;
    for (const [args, expected, code] of messages) {
      const said = await doctor(...args);
      assert.equal(said.code, code, args.join(" "));
      assert.match(said.message, expected);
    }
  });
});
