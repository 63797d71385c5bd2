import assert from "node:assert/strict";
import { after, test } from "node:test";

import type { BottleneckAnalysis, Finding } from "../../src/analytics/answers.ts";
import { testDatabase } from "../support/database.ts";
import { foldAll, stepIdOf, stopClock, type TestTemplate } from "../support/engine.ts";
import { write } from "./fact-writer.ts";
import type { Fact } from "./recount.ts";
import { bottlenecks, ownTemplate, within } from "./support.ts";

const { db } = await testDatabase({ after });
const hourUs = 3600e6;
const dayUs = 24 * hourUs;
/** A quarter past noon. */
const now = Date.UTC(2026, 2, 20, 12, 15) * 1000;
await stopClock(db, "2026-03-20T12:15:00.000000Z");

interface Runs {
  readonly count: number;
  readonly seconds: number;
  readonly agoUs: number;
  readonly queueSeconds?: number;
  readonly retrySeconds?: number;
  readonly waitSeconds?: number;
  readonly outcome?: Fact["outcome"];
}

/** Lets steps of the template have ended so, and folds every other batch. */
async function ran(template: TestTemplate, ...batches: readonly Runs[]): Promise<void> {
  for (const [index, batch] of batches.entries()) {
    const { count, seconds, agoUs, queueSeconds = 0, retrySeconds = 0, waitSeconds = 0, outcome = "complete" } = batch;
    const fact: Fact = {
      subject: "step",
      identity: stepIdOf(template, "pack"),
      endedAt: now - agoUs,
      outcome,
      reopened: false,
      durationUs: seconds * 1e6,
      dependencyWaitUs: waitSeconds * 1e6,
      queueWaitUs: queueSeconds * 1e6,
      retryUs: retrySeconds * 1e6,
      attempts: 1,
      failedAttempts: 0,
      stepCount: 0,
      failedStepCount: 0,
    };
    const facts = Array.from({ length: count }, () => fact);
    await db.transaction((sql) => write(sql, { facts, deltas: [] }));
    if (index % 2 === 0) await foldAll(db);
  }
}

/** The same on each of the seven days before, at this time. */
function daily(runs: Omit<Runs, "agoUs">): Runs[] {
  return [1, 2, 3, 4, 5, 6, 7].map((day) => ({ ...runs, agoUs: day * dayUs }));
}

function slowdowns({ findings }: BottleneckAnalysis): Finding[] {
  return findings.filter(({ code }) => code === "slower_than_usual");
}

async function findingsOf(template: TestTemplate, hours = 1): Promise<Finding[]> {
  return slowdowns(await bottlenecks(db, { ...within(template), hours, min_executions: 1 }));
}

const pack = (): Promise<TestTemplate> => ownTemplate(db, { pack: [] });

test("a step that takes twice as long as at the same hours of the last seven days is named, with both figures", async () => {
  const template = await pack();
  await ran(template, ...daily({ count: 20, seconds: 1 }), { count: 30, seconds: 2, agoUs: 60e6 });
  const answer = await bottlenecks(db, { ...within(template), hours: 1 });
  const [finding, ...others] = slowdowns(answer);
  assert.equal(others.length, 0);
  const { namespace, name: task_name, version } = template.spec;
  assert.deepEqual(finding?.subject, { namespace_name: namespace, task_name, version, step_name: "pack" });
  assert.deepEqual([finding.severity, finding.remedy], ["warning", "fix_handler"]);
  const { p95_duration_seconds: p95, usual_p95_duration_seconds: usualP95, ...evidence } = finding.evidence;
  assert.ok(Math.abs((p95 ?? 0) - 2) <= 0.02 && Math.abs((usualP95 ?? 0) - 1) <= 0.01);
  assert.deepEqual(evidence, {
    recent_hours: 1,
    completed_count: 30,
    usual_completed_count: 140,
    average_duration_seconds: 2,
    usual_average_duration_seconds: 1,
    average_dependency_wait_seconds: 0,
    usual_average_dependency_wait_seconds: 0,
    average_queue_wait_seconds: 0,
    usual_average_queue_wait_seconds: 0,
    average_retry_seconds: 0,
    usual_average_retry_seconds: 0,
  });
  assert.match(
    answer.recommendations.find((sentence) => sentence.includes("usual") || sentence.includes("seven days")) ?? "",
    /^Step pack of n\d+\/order 1\.0\.0 takes 2 s on average \(p95 [\d.]+ s\), at these hours of the last seven days 1 s \(p95 [\d.]+ s\): its run grew the most/u,
  );
});

test("what is within the floors is as usual", async () => {
  const cases = [
    { usual: 1, recent: 1.49, found: 0 },
    { usual: 1, recent: 1.6, found: 1 },
    { usual: 0.01, recent: 0.1, found: 0 },
    { usual: 0.01, recent: 0.12, found: 1 },
    { usual: 2, recent: 1, found: 0 },
  ];
  for (const { usual, recent, found } of cases) {
    const template = await pack();
    await ran(template, ...daily({ count: 10, seconds: usual }), { count: 20, seconds: recent, agoUs: 60e6 });
    assert.equal((await findingsOf(template)).length, found, `${usual} s to ${recent} s`);
  }
});

test("one very long run raises the mean and is not enough", async () => {
  const template = await pack();
  await ran(
    template,
    ...daily({ count: 20, seconds: 1 }),
    { count: 29, seconds: 1, agoUs: 60e6 },
    { count: 1, seconds: 500, agoUs: 60e6 },
  );
  assert.deepEqual(await findingsOf(template), []);
});

test("too few runs, of late or before, or on too few days, are not enough", async () => {
  const slow = { count: 20, seconds: 5, agoUs: 60e6 };
  const cases: readonly (readonly [Runs[], number])[] = [
    [[...daily({ count: 20, seconds: 1 }), { ...slow, count: 19 }], 0],
    [[1, 2, 3].map((day) => ({ count: 20, seconds: 1, agoUs: day * dayUs })).concat(slow), 1],
    [[1, 2, 3].map((day) => ({ count: 19, seconds: 1, agoUs: day * dayUs })).concat(slow), 0],
    [[1, 2].map((day) => ({ count: 40, seconds: 1, agoUs: day * dayUs })).concat(slow), 0],
    [[8, 9, 10].map((day) => ({ count: 40, seconds: 1, agoUs: day * dayUs })).concat(slow), 0],
    // Failures are no durations.
    [[...daily({ count: 20, seconds: 1, outcome: "error" }), slow], 0],
  ];
  for (const [runs, found] of cases) {
    const template = await pack();
    await ran(template, ...runs);
    assert.equal((await findingsOf(template)).length, found, JSON.stringify(runs.slice(-2)));
  }
});

test("it is compared with the same hours: what is slow at this time every day is as usual", async () => {
  const template = await pack();
  await ran(
    template,
    ...daily({ count: 20, seconds: 6 }),
    ...[1, 2, 3, 4, 5, 6, 7].map((day) => ({ count: 500, seconds: 1, agoUs: day * dayUs + 5 * hourUs })),
    { count: 30, seconds: 6, agoUs: 60e6 },
  );
  assert.deepEqual(await findingsOf(template, 1), []);
  // Over a whole day the other hours count too, and of those today has none.
  assert.equal((await findingsOf(template, 24)).length, 1);
  assert.equal((await findingsOf(template, 0)).length, 1);
});

test("the remedy is where its life grew the most, whatever is the largest part", async () => {
  const usual = { count: 20, seconds: 1, queueSeconds: 50, retrySeconds: 10, waitSeconds: 100 };
  const recent = { ...usual, count: 20, seconds: 3, agoUs: 60e6 };
  const cases = [
    [recent, "fix_handler"],
    [{ ...recent, queueSeconds: 53 }, "add_workers"],
    [{ ...recent, retrySeconds: 14, queueSeconds: 53 }, "fix_retries"],
    [{ ...recent, waitSeconds: 105, retrySeconds: 14 }, "reshape_graph"],
    [{ ...recent, queueSeconds: 20 }, "fix_handler"],
  ] as const;
  for (const [runs, remedy] of cases) {
    const template = await pack();
    await ran(template, ...daily(usual), runs);
    const [finding] = await findingsOf(template);
    assert.equal(finding?.remedy, remedy);
  }
});

test("a fleet of steps is named slowest in proportion first", async () => {
  const { namespace } = (await pack()).spec;
  for (const [name, seconds] of [
    ["twice", 2],
    ["thrice", 3],
    ["same", 1],
  ] as const) {
    const template = await ownTemplate(db, { pack: [] }, { namespace, name });
    await ran(template, ...daily({ count: 10, seconds: 1 }), { count: 20, seconds, agoUs: 60e6 });
  }
  const found = slowdowns(await bottlenecks(db, { namespace, hours: 1 }));
  assert.deepEqual(
    found.map(({ subject }) => subject?.task_name),
    ["thrice", "twice"],
  );
});

test("at every hour of the day the week's totals are the sums of its seven days", async () => {
  const template = await pack();
  const midnights = [1, 2, 7, 8].map((day) => day * dayUs + 12.25 * hourUs);
  const edges = [...midnights, 23 * hourUs, 7 * dayUs, 7 * dayUs + 15 * 60e6].flatMap((at) => [at - 1, at, at + 1]);
  await ran(template, ...edges.map((agoUs, index) => ({ count: 1 + index, seconds: 1 + index, agoUs })));
  const differences = await db.query<{ hour: number; weeks: number; days: number | null; wrong: boolean }>({
    text: `select h as hour, t.completed as weeks, d.completed as days,
        (t.completed, t.duration_us) is distinct from (d.completed, d.duration_us) as wrong
      from generate_series(0, 30) h cross join lateral (select timestamptz '2026-03-19 00:00Z' + h * interval '1 hour' as start) f
      left join tasker.completed_totals(f.start - interval '168 hours', f.start, array[$1::integer]) t on true
      left join lateral (select sum(completed)::bigint as completed, sum(duration_us)::bigint as duration_us
        from tasker.usual_figures(f.start, 24, array[$1::integer])) d on true
      order by h`,
    values: [stepIdOf(template, "pack")],
  });
  assert.equal(differences.length, 31);
  assert.ok(new Set(differences.map(({ weeks }) => weeks)).size > 3, "some hours tell the edges apart");
  assert.deepEqual(
    differences.filter(({ wrong }) => wrong),
    [],
  );
});

test("a day of hours is compared as fewer hours are", async () => {
  const template = await pack();
  await ran(template, ...daily({ count: 20, seconds: 1 }), { count: 30, seconds: 2, agoUs: 60e6 });
  const [finding, ...others] = await findingsOf(template, 24);
  assert.equal(others.length, 0);
  const { recent_hours, usual_completed_count } = finding?.evidence ?? {};
  assert.deepEqual([recent_hours, usual_completed_count], [24, 140]);
});
