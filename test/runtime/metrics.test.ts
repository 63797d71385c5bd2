import assert from "node:assert/strict";
import { test } from "node:test";

import { createMetrics } from "../../src/runtime/metrics.ts";

test("what is recorded is exposed in the format of Prometheus", async () => {
  const metrics = createMetrics();
  metrics.lateCompletions.add(2);
  metrics.cacheRequests.add(1, { provider: "memory", context: "analytics", result: "hit" });
  metrics.cacheRequests.add(2, { provider: "memory", context: "analytics", result: "hit" });
  metrics.cacheErrors.add(1, { provider: "redis", context: "analytics", reason: "timeout" });
  metrics.analyticsComputeSeconds.observe(0.3, { resource: "performance" });
  metrics.httpRequests.add(1, { route: "/v1/tasks", status: "200" });
  metrics.foldRows.add(1000);
  metrics.analyticsReplicaAnswers.add(4);
  metrics.analyticsReplicaFallbacks.add(1, { reason: "lag" });
  metrics.analyticsReplicaLagSeconds.set(2.5);
  metrics.defaultPartitionRows.set(7);
  const { contentType, body } = await metrics.exposition();
  assert.match(contentType, /^text\/plain/u);
  for (const line of [
    "tasker_late_completions_total 2",
    'tasker_cache_requests_total{provider="memory",context="analytics",result="hit"} 3',
    'tasker_cache_errors_total{provider="redis",context="analytics",reason="timeout"} 1',
    'tasker_analytics_compute_seconds_bucket{le="0.25",resource="performance"} 0',
    'tasker_analytics_compute_seconds_bucket{le="0.5",resource="performance"} 1',
    'tasker_http_requests_total{route="/v1/tasks",status="200"} 1',
    "tasker_fold_rows_total 1000",
    "tasker_analytics_replica_answers_total 4",
    'tasker_analytics_replica_fallbacks_total{reason="lag"} 1',
    "tasker_analytics_replica_lag_seconds 2.5",
    "tasker_default_partition_rows 7",
  ]) {
    assert.ok(body.split("\n").includes(line), `${line} is missing in\n${body}`);
  }
});

test("a recording that fails is counted and does not fail what it measures", async () => {
  const metrics = createMetrics();
  metrics.foldRows.add(-1);
  metrics.foldRows.add(Number.NaN);
  // @ts-expect-error a label that is not there does not compile; at run time it is dropped
  metrics.httpRequests.add(1, { path: "/v1/tasks/1" });
  const { body } = await metrics.exposition();
  assert.match(body, /^tasker_metric_failures_total 3$/mu);
  assert.match(body, /^tasker_fold_rows_total 0$/mu);
});

test("each process object counts for itself", async () => {
  const one = createMetrics();
  const other = createMetrics();
  one.foldRows.add(5);
  assert.match((await other.exposition()).body, /^tasker_fold_rows_total 0$/mu);
});
