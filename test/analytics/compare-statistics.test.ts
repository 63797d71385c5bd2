import assert from "node:assert/strict";
import { test } from "node:test";

import { compare, type Verdict } from "../../src/analytics/compare.ts";
import {
  type CountedBucket,
  differenceInterval,
  normalQuantile,
  quantileInterval,
  shareInterval,
  standardDeviations,
} from "../../src/analytics/compare-statistics.ts";

/** Uniform in [0, 1), the same in each run: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}

const gamma = 1.01 / 0.99;

function histogramOf(seconds: readonly number[]): CountedBucket[] {
  const counts = new Map<number, number>();
  for (const one of seconds) {
    const key = Math.ceil(Math.log(one * 1e6) / Math.log(gamma));
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts]
    .toSorted(([one], [other]) => one - other)
    .map(([key, count]) => ({
      from_seconds: gamma ** (key - 1) / 1e6,
      to_seconds: gamma ** key / 1e6,
      value_seconds: (2 * gamma ** key) / (gamma + 1) / 1e6,
      count,
    }));
}

function sampleOf(seconds: readonly number[], failed: number) {
  return {
    buckets: histogramOf(seconds),
    execution_count: seconds.length + failed,
    completed_count: seconds.length,
    error_count: failed,
    error_rate: null,
    average_duration_seconds: null,
    p50_duration_seconds: null,
    p95_duration_seconds: null,
    max_duration_seconds: null,
  };
}

/** Distributions of durations, by a mean of about a second. */
const shapes: Readonly<Record<string, (random: () => number) => number>> = {
  "log-normal": (random) => Math.exp(0.5 * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())),
  exponential: (random) => -Math.log(1 - random()) + 1e-6,
  bimodal: (random) => (random() < 0.7 ? 0.1 : 3) * (1 + 0.2 * random()),
};

/** How often each verdict is given over pairs of samples, b being `slowdown` times as long and failing `errorRates[1]`. */
function verdicts(
  shape: string,
  {
    size,
    pairs,
    slowdown = 1,
    errorRates = [0.1, 0.1],
  }: {
    readonly size: number;
    readonly pairs: number;
    readonly slowdown?: number;
    readonly errorRates?: readonly [number, number];
  },
): Record<"p50_duration" | "p95_duration" | "error_rate", Partial<Record<Verdict, number>>> {
  const random = randomFrom(size * 31 + pairs);
  const draw = shapes[shape];
  assert.ok(draw);
  const sample = (factor: number, errorRate: number) => {
    const failed = Array.from({ length: size }, () => random() < errorRate).filter(Boolean).length;
    return sampleOf(
      Array.from({ length: size - failed }, () => draw(random) * factor),
      failed,
    );
  };
  const counts = { p50_duration: {}, p95_duration: {}, error_rate: {} } as ReturnType<typeof verdicts>;
  for (let pair = 0; pair < pairs; pair++) {
    const said = compare(sample(1, errorRates[0]), sample(slowdown, errorRates[1]), 0.95);
    for (const figure of ["p50_duration", "p95_duration", "error_rate"] as const) {
      const { verdict } = said[figure];
      counts[figure][verdict] = (counts[figure][verdict] ?? 0) + 1;
    }
  }
  return counts;
}

const figures = ["p50_duration", "p95_duration", "error_rate"] as const;

test("of equal versions at most about one in twenty is called different, whatever the distribution", () => {
  for (const shape of Object.keys(shapes)) {
    for (const size of [150, 1000]) {
      const pairs = 400;
      const counts = verdicts(shape, { size, pairs });
      for (const figure of figures) {
        const different = (counts[figure].higher ?? 0) + (counts[figure].lower ?? 0);
        // One in twenty of 400 is 20; three standard deviations above is 33.
        assert.ok(different <= 33, `${figure} of ${shape} at ${size}: ${different} of ${pairs} called different`);
        assert.equal(counts[figure].not_enough_data ?? 0, 0);
      }
    }
  }
});

test("a version that is a fifth slower is found nearly always at 2,000 runs, as slower", () => {
  const counts = verdicts("log-normal", { size: 2000, pairs: 100, slowdown: 1.2 });
  for (const figure of ["p50_duration", "p95_duration"] as const) {
    assert.ok((counts[figure].higher ?? 0) >= 97, `${figure}: ${JSON.stringify(counts[figure])}`);
    assert.equal(counts[figure].lower ?? 0, 0);
  }
  const faster = verdicts("log-normal", { size: 2000, pairs: 50, slowdown: 1 / 1.2 });
  assert.ok((faster.p50_duration.lower ?? 0) >= 48);
});

test("a rate of errors that doubles is found, and one that does not is not", () => {
  const counts = verdicts("exponential", { size: 2000, pairs: 100, errorRates: [0.05, 0.1] });
  assert.ok((counts.error_rate.higher ?? 0) >= 97, JSON.stringify(counts.error_rate));
  const none = verdicts("exponential", { size: 2000, pairs: 20, errorRates: [0, 0] });
  assert.deepEqual(none.error_rate, { no_difference_found: 20 });
});

test("a difference as small as the buckets' error is never found, however many runs there are", () => {
  const seconds = Array.from({ length: 200_000 }, (_, index) => 1 + (index % 1000) / 100_000);
  const slower = seconds.map((one) => one * 1.015);
  const { p50_duration, p95_duration } = compare(sampleOf(seconds, 0), sampleOf(slower, 0), 0.95);
  assert.deepEqual([p50_duration.verdict, p95_duration.verdict], ["no_difference_found", "no_difference_found"]);
  const clearly = compare(
    sampleOf(seconds, 0),
    sampleOf(
      seconds.map((one) => one * 1.1),
      0,
    ),
    0.95,
  );
  assert.deepEqual([clearly.p50_duration.verdict, clearly.p95_duration.verdict], ["higher", "higher"]);
});

test("few runs are not enough, and each figure says so for itself", () => {
  const of = (completed: number, failed: number) =>
    sampleOf(
      Array.from({ length: completed }, (_, index) => 1 + index / 10),
      failed,
    );
  const said = (completed: number, failed: number) => {
    const comparison = compare(of(completed, failed), of(1000, 0), 0.95);
    return figures.map((figure) => comparison[figure].verdict === "not_enough_data");
  };
  assert.deepEqual(said(29, 0), [true, true, true]);
  assert.deepEqual(said(29, 1), [true, true, false]);
  assert.deepEqual(said(30, 0), [false, true, false]);
  assert.deepEqual(said(99, 0), [false, true, false]);
  assert.deepEqual(said(100, 0), [false, false, false]);
  assert.deepEqual(said(0, 0), [true, true, true]);
  const { p95_duration } = compare(of(10, 0), of(1000, 0), 0.95);
  assert.deepEqual(p95_duration, { verdict: "not_enough_data", estimate: null, low: null, high: null });
});

test("the intervals are those of their sources", () => {
  assert.ok(Math.abs(standardDeviations(0.95) - 1.96) < 1e-3);
  assert.ok(Math.abs(normalQuantile(0.999) - 3.0902) < 1e-3);
  assert.ok(Math.abs(normalQuantile(0.025) + 1.96) < 1e-3);
  // Newcombe 1998, table II: 56/70 - 48/80 by method 10 is 0.0524 to 0.3339; 10/10 - 0/20 is 0.6791 to 1.
  const newcombe = (one: readonly [number, number], other: readonly [number, number]) => {
    const { low, high } = differenceInterval(shareInterval(...other, 1.959964), shareInterval(...one, 1.959964));
    return [low.toFixed(4), high.toFixed(4)];
  };
  assert.deepEqual(newcombe([56, 70], [48, 80]), ["0.0524", "0.3339"]);
  assert.deepEqual(newcombe([10, 10], [0, 20]), ["0.6791", "1.0000"]);
  // Of 100 durations the median lies between the 41st and the 60th.
  const buckets = Array.from({ length: 100 }, (_, i) => ({
    from_seconds: i,
    to_seconds: i + 1,
    value_seconds: i + 0.5,
    count: 1,
  }));
  assert.deepEqual(quantileInterval(buckets, 0.5, 1.959964), { low: 40, estimate: 49.5, high: 60 });
  assert.equal(quantileInterval(buckets.slice(0, 40), 0.95, 1.959964), undefined);
});
