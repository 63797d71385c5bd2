/** An answer of the analytics as they are in practice: about 18 KB of JSON, rows of names and figures. */
export function benchAnswer(key: number): { readonly calculated_at: string; readonly slow_steps: readonly object[] } {
  return {
    calculated_at: "2026-01-01T00:00:00.000000Z",
    slow_steps: Array.from({ length: 19 }, (_, row) => step(key, row)),
  };
}

/** The same as text, as it is sent. */
export function benchText(key: number): string {
  return JSON.stringify(benchAnswer(key));
}

function step(key: number, row: number): object {
  const seconds = (key + 1) / (row + 3);
  return {
    namespace_name: "payments",
    task_name: `settle_invoices_${key}`,
    version: "1.4.2",
    step_name: `reserve_funds_at_provider_${row}`,
    average_duration_seconds: seconds,
    max_duration_seconds: seconds * 9,
    p50_duration_seconds: seconds / 2,
    p95_duration_seconds: seconds * 3,
    p99_duration_seconds: seconds * 5,
    execution_count: 1000 + row,
    completed_count: 990,
    error_count: 10 + row,
    error_rate: (10 + row) / (1000 + row),
    last_executed_at: "2026-01-01T00:00:00.000000Z",
    life: { ready_to_claimed_seconds: seconds / 7, running_seconds: seconds, waiting_for_retry_seconds: seconds / 11 },
    average_failed_duration_seconds: seconds / 5,
    attempt_count: 1010,
    failed_attempt_count: 20,
    reopened_count: 1,
    cancelled_count: 0,
    skipped_count: 0,
    blocked_count: 0,
    resolved_count: 0,
    running_count: 3,
    oldest_running_seconds: seconds,
    total_time_seconds: seconds * 1000,
    share_of_template_time: 1 / (row + 1),
    critical_path_share: null,
  };
}
