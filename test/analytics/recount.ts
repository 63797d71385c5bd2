import assert from "node:assert/strict";

import type { Sql, Timestamp } from "../../src/postgres/sql.ts";
import { bucketKey } from "../../src/seed-history/figures.ts";

/** Microseconds since the Unix epoch; they fit in a number until the year 2255. */
export type Microseconds = number;

export type Outcome = "complete" | "error" | "cancelled" | "resolved_manually" | "skipped" | "blocked";

/** An ended life of a step or a task, as the fact tables hold it. */
export interface Fact {
  readonly subject: "step" | "task";
  readonly identity: number;
  readonly endedAt: Microseconds;
  readonly outcome: Outcome;
  readonly reopened: boolean;
  /** The run of a step, the life of a task. */
  readonly durationUs: number;
  readonly dependencyWaitUs: number;
  readonly queueWaitUs: number;
  readonly retryUs: number;
  readonly attempts: number;
  readonly failedAttempts: number;
  readonly stepCount: number;
  readonly failedStepCount: number;
  /** The state that the life came from, when the fact says what changes in the counts by state. */
  readonly fromState?: string | null;
}

/** A row of tasker.window_figures. */
export type Figures = Readonly<Record<(typeof sums)[number], number>> & {
  readonly identity_id: number;
  readonly max_duration_us: number;
  readonly last_ended_at: Timestamp | null;
};

const sums = [
  "completed",
  "failed",
  "cancelled",
  "resolved",
  "skipped",
  "blocked",
  "reopened",
  "attempts",
  "failed_attempts",
  "duration_us",
  "failed_duration_us",
  "dependency_wait_us",
  "queue_wait_us",
  "retry_us",
  "step_count",
  "failed_step_count",
] as const;

/** What one fact adds to the figures of its identity, by the definitions. */
function contribution(fact: Fact): Readonly<Record<(typeof sums)[number], number>> {
  const isCompleted = fact.outcome === "complete";
  const isExecution = isCompleted || fact.outcome === "error";
  const { subject } = fact;
  const when = (condition: boolean, value: number): number => (condition ? value : 0);
  return {
    completed: when(isCompleted, 1),
    failed: when(fact.outcome === "error", 1),
    cancelled: when(fact.outcome === "cancelled", 1),
    resolved: when(fact.outcome === "resolved_manually", 1),
    skipped: when(fact.outcome === "skipped", 1),
    blocked: when(fact.outcome === "blocked", 1),
    reopened: when(isExecution && fact.reopened, 1),
    attempts: when(isExecution && subject === "step", fact.attempts),
    failed_attempts: when(isExecution && subject === "step", fact.failedAttempts),
    duration_us: when(isCompleted, fact.durationUs),
    failed_duration_us: when(fact.outcome === "error", fact.durationUs),
    dependency_wait_us: when(isCompleted && subject === "step", fact.dependencyWaitUs),
    queue_wait_us: when(isCompleted && subject === "step", fact.queueWaitUs),
    retry_us: when(isCompleted && subject === "step", fact.retryUs),
    step_count: when(isExecution && subject === "task", fact.stepCount),
    failed_step_count: when(isExecution && subject === "task", fact.failedStepCount),
  };
}

/** The figures of what ended from `from` on (null: ever), counted one by one. */
export function recount(facts: readonly Fact[], from: Microseconds | null): Figures[] {
  const identities = [...new Set(facts.map((fact) => fact.identity))].toSorted((a, b) => a - b);
  return identities.flatMap((identity) => {
    const own = facts.filter((fact) => fact.identity === identity && (from === null || fact.endedAt >= from));
    if (own.length === 0) return [];
    const parts = own.map(contribution);
    const totals = Object.fromEntries(
      sums.map((column) => [column, parts.reduce((sum, part) => sum + part[column], 0)]),
    ) as Record<(typeof sums)[number], number>; // Its keys are those of `sums`.
    const completed = own.filter(({ outcome }) => outcome === "complete");
    const executions = own.filter(({ outcome }) => outcome === "complete" || outcome === "error");
    return [
      {
        identity_id: identity,
        ...totals,
        max_duration_us: Math.max(0, ...completed.map(({ durationUs }) => durationUs)),
        last_ended_at:
          executions.length === 0 ? null : timestamp(Math.max(...executions.map(({ endedAt }) => endedAt))),
      },
    ];
  });
}

/** RFC 3339, UTC, microseconds. */
export function timestamp(at: Microseconds): Timestamp {
  const seconds = new Date(Math.floor(at / 1e6) * 1000).toISOString().slice(0, 19);
  return `${seconds}.${String(at % 1_000_000).padStart(6, "0")}Z`;
}

/** From when on facts, and rollups by the hour, are there. */
export interface Kept {
  readonly factsFrom: Microseconds;
  readonly hoursFrom: Microseconds;
}

/** Nothing was dropped. */
export const beginning: Kept = { factsFrom: -Infinity, hoursFrom: -Infinity };

/**
 * Where a window begins: `hours` back, down to the minute up to 48 hours, to the hour beyond or where facts are gone, to the day
 * where hours are; null for all history.
 */
export function windowStart(hours: number, now: Microseconds, kept = beginning): Microseconds | null {
  if (hours === 0) return null;
  const asked = now - hours * 3600e6;
  const fineUs = (hours <= 48 && asked >= kept.factsFrom ? 60 : 3600) * 1e6;
  const grainUs = asked < kept.hoursFrom ? 24 * 3600e6 : fineUs;
  return Math.floor(asked / grainUs) * grainUs;
}

/** A window as it is asked for. */
interface Question {
  readonly hours: number;
  readonly now: Microseconds;
  readonly ids: readonly number[] | null;
  readonly kept?: Kept;
}

/** Compares the window's figures and histograms, as the database reads them, with the recount. */
export async function checkWindow(
  db: Sql,
  facts: readonly Fact[],
  { hours, now, ids, kept = beginning }: Question,
): Promise<void> {
  const wanted = facts.filter(({ identity }) => ids === null || ids.includes(identity));
  const from = windowStart(hours, now, kept);
  const values = [hours, timestamp(now), ids];
  const figures = await db.query<Figures>({
    text: `select * from tasker.window_figures(tasker.window_start($1, $2), $2, $3) order by identity_id`,
    values,
  });
  assert.deepEqual(figures, recount(wanted, from), `figures of ${hours} hours to ${timestamp(now)}`);
  const histograms = await db.query<{ identity_id: number; us: number; n: number }>({
    text: `select identity_id, tasker.bucket_us(key) as us, n
      from tasker.window_histograms(tasker.window_start($1, $2), $2, $3) order by identity_id, key`,
    values,
  });
  for (const { identity_id: identity } of recount(wanted, from)) {
    const inBuckets = histograms.flatMap((row) =>
      row.identity_id === identity ? Array.from({ length: row.n }, () => row.us) : [],
    );
    const exact = wanted
      .filter((fact) => fact.identity === identity && fact.outcome === "complete" && fact.endedAt >= (from ?? 0))
      .map(({ durationUs }) => durationUs)
      .toSorted((a, b) => a - b);
    assert.equal(inBuckets.length, exact.length, `durations in the histogram of ${identity} over ${hours} hours`);
    for (const [index, us] of exact.entries()) {
      assert.ok(
        Math.abs((inBuckets[index] ?? Number.NaN) - us) <= us * 0.01 * (1 + 1e-9),
        `${inBuckets[index]} stands for ${us}`,
      );
    }
  }
  if (ids === null) await checkOverall(db, facts, { hours, now, ids, kept });
}

/** Compares the histograms of all steps and of all tasks with those of the identities, and their sizes with the recount. */
async function checkOverall(db: Sql, facts: readonly Fact[], { hours, now, kept }: Question): Promise<void> {
  const from = windowStart(hours, now, kept) ?? 0;
  const overall = await db.query<{ is_task: boolean; key: number; n: number }>({
    text: `select is_task, key, n from tasker.overall_window_histograms(tasker.window_start($1, $2), $2) order by is_task, key`,
    values: [hours, timestamp(now)],
  });
  const keyed = new Map<string, { is_task: boolean; key: number; n: number }>();
  for (const { subject, endedAt, outcome, durationUs } of facts) {
    if (outcome !== "complete" || endedAt < from) continue;
    const is_task = subject === "task";
    const key = bucketKey(durationUs);
    const one = keyed.get(`${is_task} ${key}`) ?? { is_task, key, n: 0 };
    keyed.set(`${is_task} ${key}`, { ...one, n: one.n + 1 });
  }
  const expected = [...keyed.values()].toSorted((a, b) => Number(a.is_task) - Number(b.is_task) || a.key - b.key);
  assert.deepEqual(overall, expected, `histograms of everything over ${hours} hours to ${timestamp(now)}`);
}

/** All facts that are committed, read plainly. */
export async function readFacts(db: Sql): Promise<Fact[]> {
  return db.query<Fact & object>({
    text: `select 'step' as subject, identity_id as identity, tasker.microseconds(ended_at - 'epoch') as "endedAt", outcome::text, reopened,
        run_us as "durationUs", dependency_wait_us as "dependencyWaitUs", queue_wait_us as "queueWaitUs", retry_us as "retryUs",
        attempts, failed_attempts as "failedAttempts", 0 as "stepCount", 0 as "failedStepCount"
      from tasker.step_facts
      union all select 'task', identity_id, tasker.microseconds(ended_at - 'epoch'), outcome::text, reopened,
        duration_us, 0, 0, 0, 0, 0, step_count, failed_step_count
      from tasker.task_facts`,
  });
}
