import assert from "node:assert/strict";

import { AnalyticsQueryService } from "../../src/analytics/analytics-query-service.ts";
import type { BottleneckAnalysis, Distribution, LifeParts, PerformanceMetrics } from "../../src/analytics/answers.ts";
import {
  type BottleneckParameters,
  defaultBottlenecks,
  defaultPerformance,
  type PerformanceParameters,
} from "../../src/analytics/parameters.ts";
import type { AnalyticsReplica } from "../../src/analytics/replica.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { foldAll, type Graph, register, type TemplateOptions, type TestTemplate } from "../support/engine.ts";

let namespaces = 0;

/** A template in a namespace of its own, so that the tests of a file share a database and not their numbers. */
export function ownTemplate(db: Database, graph: Graph, options?: TemplateOptions): Promise<TestTemplate> {
  namespaces += 1;
  return register(db, graph, { namespace: `n${namespaces}`, ...options });
}

/** The filter of a template's namespace. */
export function within(template: TestTemplate): { readonly namespace: string } {
  return { namespace: template.spec.namespace };
}

export interface Surroundings {
  readonly poolUsed?: number;
  readonly poolMax?: number;
  readonly replica?: AnalyticsReplica;
}

export function analyticsOf(
  db: Database,
  { poolUsed = 0, poolMax = 10, replica }: Surroundings = {},
): AnalyticsQueryService {
  return new AnalyticsQueryService({
    database: db,
    replica,
    enginePool: () => ({ used: poolUsed, max: poolMax, waiting: 0 }),
    thresholds: { errorRate: 0.2, poolUtilization: 0.8, slowStepSeconds: 30 },
  });
}

/** The metrics, which must be the same before and after the facts are folded, and hold together. */
export async function performance(
  db: Database,
  parameters: Partial<PerformanceParameters>,
): Promise<PerformanceMetrics> {
  const read = async (): Promise<PerformanceMetrics> => {
    const asked = { ...defaultPerformance, ...parameters };
    return (await analyticsOf(db).performance(asked)).answer;
  };
  const unfolded = await read();
  await foldAll(db);
  assert.deepEqual(await read(), unfolded, "folding changed the answer");
  checkPerformance(unfolded);
  return unfolded;
}

/** The same for the bottlenecks. Without `min_executions` every step that ended once is in it. */
export async function bottlenecks(
  db: Database,
  parameters: Partial<BottleneckParameters>,
  surroundings?: Surroundings,
): Promise<BottleneckAnalysis> {
  const read = async (): Promise<BottleneckAnalysis> => {
    const asked = { ...defaultBottlenecks, min_executions: 1, ...parameters };
    return (await analyticsOf(db, surroundings).bottlenecks(asked)).answer;
  };
  const unfolded = await read();
  await foldAll(db);
  assert.deepEqual(await read(), unfolded, "folding changed the answer");
  checkBottlenecks(unfolded);
  return unfolded;
}

function checkPerformance(answer: PerformanceMetrics): void {
  checkRate(answer.completion_rate);
  checkRate(answer.error_rate);
  checkRate(answer.system_health_score);
  if (answer.completion_rate !== null && answer.error_rate !== null) {
    close(answer.completion_rate + answer.error_rate, 1);
  }
  const { task_duration, step_duration } = answer;
  checkDistribution(task_duration, answer.average_task_duration_seconds);
  checkDistribution(step_duration, answer.average_step_duration_seconds);
  assert.equal(task_duration.sample_size, answer.completed_tasks);
  assert.equal(step_duration.sample_size, answer.step_execution_count - answer.step_error_count);
  assert.ok(answer.attempt_count >= answer.failed_attempt_count);
  assert.ok(answer.analysis_period_start <= answer.analysis_period_end);
}

function checkDistribution(distribution: Distribution, mean: number | null): void {
  const { sample_size, p50_seconds: p50, p95_seconds: p95, p99_seconds: p99, max_seconds: max } = distribution;
  if (sample_size === 0) {
    assert.deepEqual([p50, p95, p99, max, mean], [null, null, null, null, null]);
    return;
  }
  checkOrder(p50, p95, p99, max);
  checkOrder(mean, max);
}

function checkOrder(...values: readonly (number | null)[]): void {
  for (const [index, value] of values.entries()) {
    assert.ok(value !== null && value >= (values[index - 1] ?? 0), `${values.join(" <= ")} does not hold`);
  }
}

function checkRate(rate: number | null): void {
  assert.ok(rate === null || (rate >= 0 && rate <= 1), `${rate} is no rate`);
}

function checkBottlenecks(answer: BottleneckAnalysis): void {
  const { total_tasks, tasks, total_steps, steps } = answer.resource_utilization.system_health;
  assert.equal(sum(Object.values(tasks)), total_tasks);
  assert.equal(sum(Object.values(steps)), total_steps);
  for (const step of [...answer.slow_steps, ...answer.slow_tasks]) {
    checkRate(step.error_rate);
    assert.equal(step.execution_count, step.completed_count + step.error_count);
    const { p50_duration_seconds: p50, p95_duration_seconds: p95, p99_duration_seconds: p99 } = step;
    if (step.completed_count > 0) checkOrder(p50, p95, p99, step.max_duration_seconds);
    else assert.deepEqual([p50, p95, p99, step.max_duration_seconds, step.average_duration_seconds], empty);
  }
  for (const { share_of_template_time } of answer.slow_steps) checkRate(share_of_template_time);
}

const empty = [null, null, null, null, null];

/** Equal but for the rounding of floating point. */
export function close(actual: number | null, expected: number): void {
  assert.ok(
    actual !== null && Math.abs(actual - expected) <= 1e-9 * Math.max(1, Math.abs(expected)),
    `${actual} is not ${expected}`,
  );
}

/** Checks the mean parts of a life, in seconds. */
export function checkLife(
  life: LifeParts,
  expected: readonly [wait: number, queue: number, retry: number, run: number],
): void {
  const parts = [life.dependency_wait_seconds, life.queue_wait_seconds, life.retry_seconds, life.run_seconds];
  for (const [index, part] of parts.entries()) close(part, expected[index] ?? Number.NaN);
}

/** The figures of a step of a bottleneck analysis. */
export function figuresOf(answer: BottleneckAnalysis, step: string): BottleneckAnalysis["slow_steps"][number] {
  const found = answer.slow_steps.find(({ step_name }) => step_name === step);
  assert.ok(found, `step ${step} is not among the slowest`);
  return found;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
