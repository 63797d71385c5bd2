import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { Sql } from "../../src/postgres/sql.ts";
import { SeedHistoryError } from "../../src/seed-history/parameters.ts";
import { knownTroubles, planTemplates } from "../../src/seed-history/templates.ts";
import { analyticsOf } from "../analytics/support.ts";
import { testDatabase } from "../support/database.ts";
import { createTask, foldAll, onlyRow, register } from "../support/engine.ts";
import { folded, seed, smallHistory } from "./support.ts";

const untilUs = Date.UTC(2026, 2, 10, 12, 34) * 1000;

function countOf(sql: Sql, from: string): Promise<number> {
  return onlyRow<{ n: number }>(sql, `select count(*) as n from ${from}`).then(({ n }) => n);
}

async function refused(attempt: Promise<unknown>): Promise<SeedHistoryError> {
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof SeedHistoryError, String(error));
  return error;
}

describe("seedHistory", () => {
  test("writes exactly the rollups and counts that folding its facts and deltas makes", async (t) => {
    const database = await testDatabase(t);
    await seed(database);
    const seeded = await folded(database.db);
    assert.ok(seeded.rollups.length > 1000 && seeded.histograms.length > 1000 && seeded.counts.length > 50);
    for (const table of ["rollups", "rollup_histograms", "overall_histograms", "state_counts"]) {
      await database.db.query({ text: `truncate tasker.${table}` });
    }
    await database.db.query({ text: "update tasker.fold_state set watermark = 0" });
    await foldAll(database.db);
    const again = await folded(database.db);
    for (const [index, row] of seeded.rollups.entries()) assert.deepEqual(row, again.rollups[index]);
    assert.deepEqual(seeded, again);
  });

  test("counts what it wrote, in daily partitions, and only tasks that ended", async (t) => {
    const database = await testDatabase(t);
    const { tasks, steps } = await seed(database, {}, { untilUs });
    assert.equal(tasks, smallHistory.tasks);
    assert.equal(await countOf(database.db, "tasker.step_facts"), steps);
    assert.equal(await countOf(database.db, "tasker.analytics_identities"), smallHistory.identities);
    const { n } = await onlyRow<{ n: number }>(database.db, "select tasker.default_partition_rows() as n");
    assert.equal(n, 0);
    const [sums] = await database.db.query<{ tasks: number; open: number }>({
      text: `select sum(count) as tasks, sum(count) filter (where state in ('pending', 'in_progress')) as open
        from tasker.state_counts where subject = 'task'`,
    });
    assert.deepEqual(sums, { tasks, open: 0 });
    const late = `tasker.ended where ended_at >= to_timestamp(${untilUs / 1e6})`;
    assert.equal(await countOf(database.db, late), 0);
  });

  test("the same numbers make the same history, another seed another one", async (t) => {
    const small = { tasks: 500, days: 3 };
    const one = await testDatabase(t);
    const same = await testDatabase(t);
    await seed(one, small, { untilUs });
    await seed(same, small, { untilUs });
    const first = await folded(one.db);
    assert.deepEqual(await folded(same.db), first);
    const facts =
      "select md5(string_agg(f::text, ',' order by task_id, ended_at, identity_id)) as digest from tasker.ended f";
    const ticks = "update tasker.step_facts set tick = 1; update tasker.task_facts set tick = 1";
    for (const { db } of [one, same]) await db.query({ text: ticks });
    assert.deepEqual(await onlyRow(same.db, facts), await onlyRow(one.db, facts));
    const other = await testDatabase(t);
    await seed(other, { ...small, seed: 4 }, { untilUs });
    assert.notDeepEqual((await folded(other.db)).rollups, first.rollups);
  });

  test("what is older than the facts are kept leaves only rollups", async (t) => {
    const database = await testDatabase(t);
    const { steps } = await seed(database, {}, { untilUs, factsRetentionDays: 2 });
    const { first } = await onlyRow<{ first: string }>(database.db, "select min(ended_at) as first from tasker.ended");
    assert.ok(first >= "2026-03-08T00:00:00" && first < "2026-03-09", first);
    const { summed } = await onlyRow<{ summed: number }>(
      database.db,
      `select sum(completed + failed + cancelled + blocked) as summed from tasker.rollups r
        join tasker.analytics_identities i on i.id = r.identity_id where grain = 'a' and step_name is not null`,
    );
    assert.equal(summed, steps);
  });

  test("what is wrong in it is found", async (t) => {
    const database = await testDatabase(t);
    await seed(database, { tasks: 6000 });
    const hours = 24 * smallHistory.days;
    const ask = { hours, limit: 100, min_executions: 5, sort: "average_duration" } as const;
    const { answer } = await analyticsOf(database.db).bottlenecks(ask);
    const { slowStep, flakyStep, regressedStep } = knownTroubles(smallHistory.seed);
    assert.equal(answer.slow_steps[0]?.task_name, slowStep.task_name);
    assert.equal(answer.slow_steps[0]?.step_name, slowStep.step_name);
    assert.ok(
      answer.findings.some(({ code, subject }) => code === "slow_step" && subject?.step_name === slowStep.step_name),
    );
    const retried = answer.slow_steps.toSorted(
      (a, b) => b.failed_attempt_count / b.attempt_count - a.failed_attempt_count / a.attempt_count,
    );
    assert.equal(retried[0]?.task_name, flakyStep.task_name);
    assert.equal(retried[0]?.step_name, flakyStep.step_name);
    const medians = [regressedStep.olderVersion, regressedStep.version].map(
      (version) =>
        answer.slow_steps.find(
          (step) =>
            step.task_name === regressedStep.task_name &&
            step.step_name === regressedStep.step_name &&
            step.version === version,
        )?.p50_duration_seconds ?? Number.NaN,
    );
    const [older = Number.NaN, newer = Number.NaN] = medians;
    assert.ok(Math.abs(newer / older / regressedStep.factor - 1) < 0.2, medians.join(" against "));
  });

  test("makes exactly as many identities as asked for", () => {
    for (const identities of [22, 23, 24, 25, 26, 31, 100, 239, 240, 241, 5000, 10_000, 20_000]) {
      const templates = planTemplates({ ...smallHistory, identities }).flatMap(({ versions }) => versions);
      const names = templates.flatMap(({ namespace, name, version, steps }) =>
        ["", ...steps.map((step) => step.name)].map((step) => [namespace, name, version, step].join("/")),
      );
      assert.equal(new Set(names).size, identities);
    }
  });
});

describe("seedHistory refuses", () => {
  const parameters = [
    [{ tasks: 0 }, "tasks must be a whole number from 1 to 100000000, got 0"],
    [{ days: 1.5 }, "days must be a whole number from 1 to 3650, got 1.5"],
    [{ identities: 21 }, "identities must be a whole number from 22 to 20000, got 21"],
    [{ seed: -1 }, "seed must be a whole number from 0 to 4294967295, got -1"],
  ] as const;

  test("what is out of range, and an end in the future, before it writes anything", async (t) => {
    const database = await testDatabase(t);
    for (const [given, message] of parameters) {
      const error = await refused(seed(database, given));
      assert.deepEqual([error.code, error.message], ["invalid_parameter", message]);
    }
    const future = await refused(seed(database, {}, { untilUs: Date.UTC(2999, 0, 1) * 1000 }));
    assert.equal(future.message, "the history must end after 2000-12-31 and not in the future");
    assert.equal(await countOf(database.db, "tasker.analytics_identities"), 0);
  });

  test("a database that has tasks, unless it is forced; then their figures stay as they are", async (t) => {
    const database = await testDatabase(t);
    const template = await register(database.db, { only: [] });
    await createTask(database.db, template);
    const error = await refused(seed(database));
    assert.equal(error.code, "database_in_use");
    assert.match(error.message, /take an empty one, or say --force$/u);
    const own = { hours: 0, namespace: template.spec.namespace };
    const before = await analyticsOf(database.db).performance(own);
    await seed(database, {}, { force: true });
    await foldAll(database.db);
    const after = await analyticsOf(database.db).performance(own);
    assert.equal(after.answer.total_tasks, 1);
    assert.equal(after.answer.active_tasks, before.answer.active_tasks);
    const all = await analyticsOf(database.db).performance({ hours: 0 });
    assert.equal(all.answer.total_tasks, smallHistory.tasks + 1);
  });

  test("to seed the same history twice, even when it is forced, and takes another beside it", async (t) => {
    const database = await testDatabase(t);
    await seed(database, { tasks: 100 });
    const error = await refused(seed(database, { tasks: 100 }, { force: true }));
    assert.deepEqual(
      [error.code, error.message],
      ["history_exists", "the history of seed 3 is there already: take another --seed"],
    );
    await seed(database, { tasks: 100, seed: 4 }, { force: true });
    assert.equal(await countOf(database.db, "tasker.analytics_identities"), 2 * smallHistory.identities);
  });

  test("a database that is not migrated", async (t) => {
    const error = await refused(seed(await testDatabase(t, { migrated: false })));
    assert.equal(error.code, "not_migrated");
    assert.match(error.message, /lacks \d+ migrations: run tasker migrate$/u);
  });

  test("to begin while another process seeds the database, and a failure leaves nothing", async (t) => {
    const database = await testDatabase(t);
    await database.db.transaction(async (sql) => {
      await sql.query({ text: "select pg_advisory_xact_lock(hashtext('tasker.seed_history'))" });
      assert.equal((await refused(seed(database))).code, "seeding_elsewhere");
    });
    const broken = seed(
      database,
      { tasks: 50_000 },
      {
        onProgress: () => {
          throw new Error("nobody watches");
        },
      },
    );
    await assert.rejects(broken, /^Error: nobody watches$/u);
    for (const table of ["analytics_identities", "ended", "state_counts", "rollups"]) {
      assert.equal(await countOf(database.db, `tasker.${table}`), 0);
    }
  });
});
