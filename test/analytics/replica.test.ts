import assert from "node:assert/strict";
import { after, describe, test } from "node:test";

import { bottleneckSorts, defaultBottlenecks } from "../../src/analytics/parameters.ts";
import { migrate } from "../../src/postgres/migrate.ts";
import type { Timestamp } from "../../src/postgres/sql.ts";
import { testDatabase } from "../support/database.ts";
import {
  claimStep,
  create,
  createTask,
  databaseTime,
  failStep,
  fold,
  moveClock,
  runStep,
  stopClock,
  type TestTemplate,
} from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { startStandbyPair } from "../support/standby.ts";
import { replicaProcess } from "./replica-process.ts";
import { replicaReader } from "./replica-reader.ts";
import { analyticsOf, figuresOf, ownTemplate, within } from "./support.ts";

const maxLagSeconds = 30;
const pair = await startStandbyPair({ after });
const { db } = pair;
await migrate(db);
await stopClock(db);

const reader = (options: Partial<Parameters<typeof replicaReader>[1]> = {}) =>
  replicaReader({ after }, { primary: db, replicaUrl: pair.standbyUrl, maxLagSeconds, ...options });

/** Folds, which is a beat of the heart, and lets the standby see it. Returns the time of it. */
async function beat(): Promise<Timestamp> {
  await fold(db);
  await pair.replayed();
  return databaseTime(db);
}

/** One completed task, whose step has run for some seconds. */
async function completeOne(template: TestTemplate, seconds = 0): Promise<void> {
  await createTask(db, template);
  await runStep(db, template, "pack", seconds);
}

/** While `work` runs the standby replays nothing. */
async function withoutReplay(work: () => Promise<void>): Promise<void> {
  await pair.standby().query({ text: "select pg_wal_replay_pause()" });
  try {
    await work();
  } finally {
    await pair.standby().query({ text: "select pg_wal_replay_resume()" });
  }
}

describe("analytics from a hot standby", { timeout: 120_000 }, () => {
  test("are those of the primary, once that is replayed", async () => {
    const template = await ownTemplate(db, { pack: [], send: ["pack"] });
    await create(
      db,
      template,
      Array.from({ length: 7 }, () => ({})),
    );
    for (const seconds of [1, 2, 120]) {
      await runStep(db, template, "pack", seconds);
      await runStep(db, template, "send", seconds / 2);
    }
    await failStep(db, template, "pack", { seconds: 3, retryAfterSeconds: 500 });
    await failStep(db, template, "pack", { seconds: 5 });
    await claimStep(db, template, "pack");
    await moveClock(db, 10);
    await beat();
    // Some of it is not folded.
    await runStep(db, template, "pack", 0);
    await pair.replayed();

    const { service, seen } = reader();
    const primary = analyticsOf(db);
    const asked = [0, 1, 24, 72].flatMap((hours) => [{ hours }, { hours, ...within(template) }]);
    for (const parameters of asked) {
      assert.deepEqual(await service.performance(parameters), await primary.performance(parameters));
    }
    for (const sort of bottleneckSorts) {
      const parameters = { ...defaultBottlenecks, ...within(template), min_executions: 1, sort };
      const queried = await service.bottlenecks(parameters);
      assert.equal(JSON.stringify(queried), JSON.stringify(await primary.bottlenecks(parameters)));
      assert.equal(figuresOf(queried.answer, "pack").running_count, 1);
      assert.equal(queried.answer.recommendations.length, 1);
    }
    assert.deepEqual(seen.fallbacks, []);
    assert.equal(seen.answers, asked.length + bottleneckSorts.length);
  });

  test("end at the heartbeat, and tell the present as the primary does", async () => {
    const template = await ownTemplate(db, { pack: [] });
    await completeOne(template, 2);
    const heartbeat = await beat();
    await moveClock(db, 5);
    await completeOne(template, 4);
    await pair.replayed();
    await withoutReplay(async () => {
      // Neither of these has reached the standby.
      await completeOne(template, 6);
      await createTask(db, template);
      await claimStep(db, template, "pack", { leaseSeconds: 4 });
      await createTask(db, template);
      await moveClock(db, 5);
      const now = await databaseTime(db);

      const { service, seen } = reader();
      const { answer } = await service.performance({ hours: 1, ...within(template) });
      assert.deepEqual([answer.completed_tasks, answer.total_tasks, answer.active_tasks], [2, 2, 0]);
      assert.deepEqual(
        [answer.analysis_period_end, answer.data_through, answer.calculated_at],
        [heartbeat, heartbeat, now],
      );
      const { success, liveness, backlog } = answer.health_factors;
      assert.equal(success.explanation, "2 of 2 tasks that ended completed.");
      assert.equal(liveness.explanation, "0 of 1 running steps have a live lease.");
      assert.equal(backlog.explanation, "The oldest step that could run has waited 5.0 s for a worker.");
      assert.equal(answer.system_health_score, 0);

      const parameters = { ...defaultBottlenecks, ...within(template), min_executions: 1 };
      const { answer: analysis } = await service.bottlenecks(parameters);
      const pack = figuresOf(analysis, "pack");
      assert.deepEqual([pack.execution_count, pack.average_duration_seconds], [2, 3]);
      assert.deepEqual([pack.running_count, pack.oldest_running_seconds], [1, 5]);
      assert.equal(analysis.resource_utilization.system_health.steps.in_progress, 0);
      assert.deepEqual([analysis.data_through, analysis.calculated_at], [heartbeat, now]);
      assert.deepEqual([seen.answers, seen.fallbacks], [2, []]);
    });
  });

  test("have a heart that beats also while there is nothing to fold", async () => {
    await beat();
    await moveClock(db, 7);
    const now = await databaseTime(db);
    assert.equal(await fold(db), 0);
    await pair.replayed();
    const { service } = reader();
    assert.equal((await service.performance({ hours: 1 })).answer.data_through, now);
  });

  test("are the primary's while the standby is too far behind, which is said once", async () => {
    const template = await ownTemplate(db, { pack: [] });
    await completeOne(template);
    const heartbeat = await beat();
    const { service, seen, replica } = reader();
    const ask = async () => (await service.performance({ hours: 1, ...within(template) })).answer;
    await withoutReplay(async () => {
      await completeOne(template);
      await moveClock(db, maxLagSeconds);
      await fold(db);
      const late = await ask();
      assert.deepEqual([late.completed_tasks, late.data_through], [1, heartbeat]);
      assert.deepEqual([seen.lagSeconds, replica.health().serving], [maxLagSeconds, true]);

      await moveClock(db, 0.001);
      const now = await databaseTime(db);
      for (let asked = 1; asked <= 3; asked++) {
        const answer = await ask();
        assert.deepEqual([answer.completed_tasks, answer.data_through, answer.calculated_at], [2, now, now]);
      }
      assert.deepEqual([seen.answers, seen.fallbacks], [1, ["lag", "lag", "lag"]]);
      const since = "2026-01-01T00:00:00.000Z";
      const lagSeconds = maxLagSeconds + 0.001;
      assert.deepEqual(replica.health(), { serving: false, lagSeconds, reason: "lag", since });
    });
    await pair.replayed();
    // With the fold came a heartbeat of a moment ago.
    assert.equal((await ask()).completed_tasks, 2);
    assert.deepEqual([seen.answers, seen.lagSeconds], [2, 0.001]);
    assert.deepEqual(
      seen.lines.map(({ level, details }) => [level, details["reason"], details["lagSeconds"]]),
      [
        ["warn", "lag", maxLagSeconds + 0.001],
        ["info", undefined, undefined],
      ],
    );
  });

  test("are the primary's as soon as nothing is folded any more, though everything is replayed", async () => {
    await beat();
    await moveClock(db, maxLagSeconds + 1);
    await pair.replayed();
    const { service, seen } = reader();
    assert.equal((await service.performance({ hours: 1 })).answer.data_through, await databaseTime(db));
    assert.deepEqual(seen.fallbacks, ["lag"]);
  });

  test("are the primary's when replaying takes the snapshot away, and the standby's again after that", async () => {
    const template = await ownTemplate(db, { pack: [] });
    await completeOne(template);
    await beat();
    let conflicts = true;
    const { service, seen, replica } = reader({
      async meanwhile() {
        if (!conflicts) return;
        conflicts = false;
        // Rows that the snapshot sees.
        await db.query({ text: "update tasker.state_counts set count = count" });
        await db.query({ text: "vacuum tasker.state_counts" });
        await pair.replayed();
      },
    });
    const parameters = { ...defaultBottlenecks, ...within(template), min_executions: 1 };
    assert.equal(figuresOf((await service.bottlenecks(parameters)).answer, "pack").execution_count, 1);
    assert.deepEqual([conflicts, seen.answers, seen.fallbacks], [false, 0, ["recovery_conflict"]]);
    assert.equal(replica.health().lagSeconds, undefined);
    assert.equal(figuresOf((await service.bottlenecks(parameters)).answer, "pack").execution_count, 1);
    assert.deepEqual([seen.answers, seen.fallbacks.length], [1, 1]);
    assert.deepEqual(
      seen.lines.map(({ level }) => level),
      ["warn", "info"],
    );
  });

  test("do not fail when the standby dies, and come from it again when it is back", async () => {
    await beat();
    const { service, seen, clock, replica } = reader();
    const ask = (times: number) => Promise.all(Array.from({ length: times }, () => service.performance({ hours: 1 })));
    await ask(2);
    assert.deepEqual([seen.answers, seen.fallbacks], [2, []]);
    const underway = ask(10);
    pair.kill();
    await underway;
    // At last nobody tries any more: it has failed often enough.
    while (seen.fallbacks.at(-1) !== "circuit_open") await ask(1);
    const { answers } = seen;
    await ask(10);
    assert.deepEqual([seen.answers, new Set(seen.fallbacks)], [answers, new Set(["unavailable", "circuit_open"])]);
    assert.deepEqual([replica.health().serving, replica.health().lagSeconds], [false, undefined]);

    await pair.restart();
    await clock.advance(2000);
    await ask(1);
    assert.deepEqual([seen.answers, replica.health().serving], [answers + 1, true]);
    assert.deepEqual(
      seen.lines.map(({ level }) => level),
      ["warn", "info"],
    );
  });

  test("do not wait for a standby that the network has swallowed", async () => {
    await beat();
    const { service, seen, pool } = reader({ statementTimeoutMs: 100, meanwhile: async () => pair.way.blackHole() });
    await service.performance({ hours: 1 });
    pair.way.pass();
    assert.deepEqual([seen.answers, seen.fallbacks], [0, ["unavailable"]]);
    assert.equal(pool.usage().used, 0, "the connection that hangs is gone");
  });

  test("are never those of another database, or of one without our tables", async (t) => {
    const [own, other] = [await testDatabase(t), await testDatabase(t)];
    const cases = [
      // Another one of the same cluster, one of another cluster, and an empty one.
      { primary: own.db, replicaUrl: other.url, reason: "other_database" },
      { primary: own.db, replicaUrl: pair.standbyUrl, reason: "other_database" },
      { primary: db, replicaUrl: pair.standbyUrl.replace(/postgres$/u, "template1"), reason: "failed" },
    ];
    for (const { reason, ...options } of cases) {
      const { service, seen } = reader(options);
      const { answer } = await service.performance({ hours: 1 });
      assert.equal(answer.data_through, answer.calculated_at);
      assert.deepEqual([seen.answers, seen.fallbacks], [0, [reason]]);
    }
    await fold(own.db);
    const { service, seen } = reader({ primary: own.db, replicaUrl: own.url });
    await service.performance({ hours: 1 });
    assert.deepEqual([seen.answers, seen.fallbacks], [1, []], "the same database is as good as its copy");
  });

  test("reach a process by ANALYTICS_REPLICA_URL, whose health and metrics show them", async (t) => {
    const { answers, metrics, check, lines } = await replicaProcess(t, pair);
    assert.deepEqual(await check(), { name: "analytics replica", healthy: true, detail: {} });
    // What the fold cleans away may stand in the way of an answer.
    const before = await eventually(
      "the replica answers",
      async () => (await answers(), check()),
      (seen) => seen?.healthy === true,
    );
    assert.deepEqual(Object.keys(before?.detail ?? {}), ["lag_seconds"]);
    assert.match(await metrics(), /^tasker_analytics_replica_answers_total [1-9]/mu);
    const warnings = () => lines.filter(({ level, message }) => level === "warn" && /replica/u.test(message)).length;
    const warned = warnings();

    pair.kill();
    await answers();
    const dead = await check();
    assert.deepEqual(
      [dead?.healthy, Object.keys(dead?.detail ?? {})],
      [false, ["reason", "serving_from_primary_since"]],
    );
    assert.match(await metrics(), /^tasker_analytics_replica_fallbacks_total\{reason="unavailable"\} 2$/mu);
    assert.equal(warnings(), warned + 1);
    await pair.restart();
  });
});
