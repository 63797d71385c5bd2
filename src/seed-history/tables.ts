import type { CopyTarget } from "../postgres/bulk-load.ts";

// The tables that a history is written to. A new one is added here, and filled in history-rows.ts.

export const stepFacts: CopyTarget = {
  table: "tasker.step_facts",
  columns: [
    "ended_at",
    "tick",
    "dependency_wait_us",
    "queue_wait_us",
    "retry_us",
    "run_us",
    "task_id",
    "identity_id",
    "attempts",
    "failed_attempts",
    "outcome",
    "reopened",
  ],
};

export const taskFacts: CopyTarget = {
  table: "tasker.task_facts",
  columns: [
    "ended_at",
    "tick",
    "duration_us",
    "task_id",
    "identity_id",
    "step_count",
    "failed_step_count",
    "outcome",
    "reopened",
  ],
};

export const stateDeltas: CopyTarget = {
  table: "tasker.state_deltas",
  columns: ["recorded_at", "tick", "identity_id", "delta", "subject", "state"],
};

export const stateCounts: CopyTarget = {
  table: "tasker.state_counts",
  columns: ["identity_id", "subject", "state", "count", "first_at"],
};

export const rollupColumns = [
  "grain",
  "bucket_start",
  "identity_id",
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
  "max_duration_us",
  "failed_duration_us",
  "dependency_wait_us",
  "queue_wait_us",
  "retry_us",
  "step_count",
  "failed_step_count",
  "last_ended_at",
] as const;
export const rollups: CopyTarget = { table: "tasker.rollups", columns: rollupColumns };

export const histograms: CopyTarget = {
  table: "tasker.rollup_histograms",
  columns: ["grain", "bucket_start", "identity_id", "keys", "counts"],
};

/** Those of all steps together and of all tasks together. */
export const overallColumns = ["grain", "bucket_start", "is_task", "keys", "counts"] as const;

export const allTables: readonly string[] = [
  ...[stepFacts, taskFacts, stateDeltas, stateCounts, rollups, histograms].map(({ table }) => table),
  "tasker.overall_histograms",
];
