import assert from "node:assert/strict";

import type { Distribution } from "../../src/analytics/answers.ts";
import { percentile } from "./oracle.ts";

/** How many are in each state. */
export function byState<State extends string>(states: readonly State[], of: readonly string[]): Record<State, number> {
  const counts = states.map((state) => [state, of.filter((one) => one === state).length] as const);
  // Each state has got its count.
  return Object.fromEntries(counts) as Record<State, number>;
}

/** A distribution as the answers tell it, in seconds. */
export function distribution(durations: readonly number[]): Distribution {
  const [p50_seconds, p95_seconds, p99_seconds] = [50, 95, 99].map((percent) => percentile(durations, percent));
  return {
    sample_size: durations.length,
    p50_seconds: p50_seconds ?? null,
    p95_seconds: p95_seconds ?? null,
    p99_seconds: p99_seconds ?? null,
    max_seconds: durations.at(-1) ?? null,
  };
}

/** The same in the words of the bottlenecks. */
export function percentiles(
  durations: readonly number[],
): Record<`${"p50" | "p95" | "p99" | "max"}_duration_seconds`, number | null> {
  const { p50_seconds, p95_seconds, p99_seconds, max_seconds } = distribution(durations);
  return {
    p50_duration_seconds: p50_seconds,
    p95_duration_seconds: p95_seconds,
    p99_duration_seconds: p99_seconds,
    max_duration_seconds: max_seconds,
  };
}

/** Percentiles may be off by 1 %, other fractions by rounding, all else not at all; no field more or less. */
export function equalWithin(actual: unknown, expected: unknown, path: string): void {
  if (isObject(actual) && isObject(expected)) {
    assert.deepEqual(Object.keys(actual).toSorted(), Object.keys(expected).toSorted(), path);
    for (const key of Object.keys(expected)) equalWithin(actual[key], expected[key], `${path}.${key}`);
    return;
  }
  if (typeof actual !== "number" || typeof expected !== "number" || path.endsWith("_count")) {
    assert.deepEqual(actual, expected, path);
    return;
  }
  const error = /\.p\d\d_(?:duration_)?seconds$/u.test(path) ? 0.01 : 0;
  assert.ok(
    Math.abs(actual - expected) <= (error + 1e-9) * Math.abs(expected),
    `${path}: ${actual} is not ${expected}`,
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** RFC 3339 with microseconds. */
export function timestamp(us: number): string {
  const ms = Math.floor(us / 1000);
  return new Date(ms).toISOString().replace("Z", `${String(us - ms * 1000).padStart(3, "0")}Z`);
}
