import assert from "node:assert/strict";
import { test } from "node:test";

import { compareLines } from "../../src/cli/compare-lines.ts";
import type { Comparison, VersionComparison, VersionFigures } from "../../src/http/api-types.ts";

const figures: VersionFigures = {
  execution_count: 1000,
  completed_count: 980,
  error_count: 20,
  error_rate: 0.02,
  average_duration_seconds: 1,
  p50_duration_seconds: 1,
  p95_duration_seconds: 2,
  max_duration_seconds: 3,
};
const same: Comparison = { verdict: "no_difference_found", estimate: 1.01, low: 0.9, high: 1.1 };
const unknown: Comparison = { verdict: "not_enough_data", estimate: null, low: null, high: null };

const answer: VersionComparison = {
  analysis_period_start: "2026-01-01T00:00:00.000000Z",
  analysis_period_end: "2026-01-02T00:00:00.000000Z",
  calculated_at: "2026-01-02T00:00:00.000000Z",
  data_through: "2026-01-02T00:00:00.000000Z",
  filters: {},
  a: "1.0.0",
  b: "1.1.0",
  tasks: {
    a: figures,
    b: { ...figures, p50_duration_seconds: 1.5, error_rate: 0.1 },
    comparison: {
      confidence: 0.95,
      p50_duration: { verdict: "higher", estimate: 1.5, low: 1.4, high: 1.6 },
      p95_duration: same,
      error_rate: { verdict: "higher", estimate: 0.08, low: 0.05, high: 0.11 },
    },
  },
  steps: [
    {
      step_name: "pack",
      a: figures,
      b: figures,
      comparison: {
        confidence: 0.95,
        p50_duration: { verdict: "lower", estimate: 0.5, low: 0.4, high: 0.6 },
        p95_duration: unknown,
        error_rate: { verdict: "lower", estimate: -0.01, low: -0.02, high: -0.001 },
      },
    },
    { step_name: "gone", a: figures, b: null, comparison: null },
  ],
  minimum_samples: { p50_duration: 30, p95_duration: 100, error_rate: 30 },
  percentile_relative_error: 0.01,
};

test("a comparison shows both versions, and a difference where one was found", () => {
  const lines = compareLines(answer);
  const cells = lines.slice(2, 5).map((line) => line.trim().split(/\s{2,}/u));
  assert.deepEqual(cells, [
    ["task", "1,000", "1,000", "1 s", "1.5 s", "x 1.50", "2 s", "2 s", "=", "2 %", "10 %", "+8 %"],
    ["pack", "1,000", "1,000", "1 s", "1 s", "x 0.50", "2 s", "2 s", "?", "2 %", "2 %", "-1 %"],
    ["gone", "1,000", "-", "1 s", "-", "-", "2 s", "-", "-", "2 %", "-", "-"],
  ]);
  assert.match(lines[1] ?? "", /runs 1\.0\.0 +1\.1\.0 +p50 1\.0\.0 +1\.1\.0/u);
  assert.match(lines.at(-1) ?? "", /30 of each version for a p50 or a rate, 100 for a p95/u);
});
