import assert from "node:assert/strict";
import { after, test } from "node:test";

import fc from "fast-check";

import { testDatabase } from "../support/database.ts";
import { foldAll, onlyRow, stopClock } from "../support/engine.ts";
import { randomCases } from "../support/random.ts";
import { ownTemplate, performance, within } from "./support.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

/** Microseconds: nothing, the smallest, the edges of the histogram's buckets, seconds, hours, a year. */
const duration = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 50, 51, 1_000_000, 3_600_000_000, 31_536_000_000_000),
  fc.integer({ min: 0, max: 1000 }),
  fc.integer({ min: 0, max: 10_000_000 }),
  fc.integer({ min: 0, max: 100_000_000_000 }),
);

/** `percentile_disc`: the smallest value that at least this share of the values does not exceed. */
function nearestRank(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

function checkWithinOnePercent(actual: number | null, exact: number, what: string): void {
  // The last digits are those of floating point at a bucket's very edge.
  const allowed = exact * 0.01 * (1 + 1e-9);
  assert.ok(actual !== null && Math.abs(actual - exact) <= allowed, `${what}: ${actual} for ${exact}`);
}

test("percentiles are by nearest rank within 1 %, ordered, and the maximum is exact", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(duration, { minLength: 1, maxLength: 120 }), async (durations) => {
      const sorted = durations.toSorted((a, b) => a - b);
      const { p, max } = await onlyRow<{ p: number[]; max: number }>(
        db,
        `with h as (select tasker.bucket_key(us) as key, count(*) as n from unnest($1::bigint[]) us group by 1)
          select tasker.percentiles(array_agg(key order by key desc), array_agg(n::numeric order by key desc), $2) as p,
            $2::bigint as max from h`,
        [durations, sorted.at(-1)],
      );
      const [p50 = null, p95 = null, p99 = null] = p;
      checkWithinOnePercent(p50, nearestRank(sorted, 0.5) / 1e6, "p50");
      checkWithinOnePercent(p95, nearestRank(sorted, 0.95) / 1e6, "p95");
      checkWithinOnePercent(p99, nearestRank(sorted, 0.99) / 1e6, "p99");
      assert.ok((p50 ?? 0) <= (p95 ?? 0) && (p95 ?? 0) <= (p99 ?? 0) && (p99 ?? 0) <= max / 1e6);
    }),
    randomCases(3000),
  );
});

test("an answer's percentiles are those of all its completed runs, folded or not", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(duration, { minLength: 1, maxLength: 40 }),
      fc.array(duration, { maxLength: 40 }),
      async (folded, fresh) => {
        const template = await ownTemplate(db, { pack: [] });
        const identity = [...template.stepIds.values()][0];
        const write = (durations: readonly number[]) =>
          db.query({
            text: `insert into tasker.step_facts (ended_at, tick, dependency_wait_us, queue_wait_us, retry_us, run_us, task_id,
                identity_id, attempts, failed_attempts, outcome, reopened)
              select tasker.clock(), tasker.tick(), 0, 0, 0, us, gen_random_uuid(), $1, 1, 0, 'complete', false
                from unnest($2::bigint[]) us`,
            values: [identity, durations],
          });
        await write(folded);
        await foldAll(db);
        await write(fresh);
        const sorted = [...folded, ...fresh].toSorted((a, b) => a - b);

        const { step_duration } = await performance(db, within(template));
        assert.equal(step_duration.sample_size, sorted.length);
        assert.equal(step_duration.max_seconds, (sorted.at(-1) ?? 0) / 1e6);
        checkWithinOnePercent(step_duration.p50_seconds, nearestRank(sorted, 0.5) / 1e6, "p50");
        checkWithinOnePercent(step_duration.p95_seconds, nearestRank(sorted, 0.95) / 1e6, "p95");
        checkWithinOnePercent(step_duration.p99_seconds, nearestRank(sorted, 0.99) / 1e6, "p99");
      },
    ),
    randomCases(200),
  );
});
