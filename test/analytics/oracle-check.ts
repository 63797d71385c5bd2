import assert from "node:assert/strict";

import type {
  BottleneckAnalysis,
  Finding,
  PerformanceMetrics,
  SlowStep,
  SlowTask,
} from "../../src/analytics/answers.ts";
import type { BottleneckParameters, PerformanceParameters } from "../../src/analytics/parameters.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { stepStates, taskStates } from "../../src/workflow/states.ts";
import { byState, distribution, equalWithin, percentiles, timestamp } from "./oracle-compare.ts";
import { analyticsOf } from "./support.ts";
import {
  grouped,
  type History,
  share,
  type StepEnd,
  stepFigures,
  type StepFigures,
  taskFigures,
  type TaskFigures,
  Window,
} from "./oracle.ts";

const thresholds = { errorRate: 0.2, slowStepSeconds: 30 };

/** Asks for the performance and compares every field with the oracle's. */
export async function checkPerformance(db: Database, history: History, question: PerformanceParameters): Promise<void> {
  const { answer } = await analyticsOf(db).performance(question);
  const window = new Window(history, question);
  const tasks = taskFigures(window.taskEnds);
  const steps = stepFigures(window.stepEnds);
  const now = timestamp(history.nowUs);
  const success = tasks.completion_rate;
  const expected: PerformanceMetrics = {
    total_tasks: window.tasks.length,
    active_tasks: window.tasks.filter(({ state }) => ["pending", "in_progress"].includes(state)).length,
    completed_tasks: tasks.completed_count,
    failed_tasks: tasks.error_count,
    cancelled_tasks: tasks.cancelled_count,
    resolved_tasks: tasks.resolved_count,
    completion_rate: success,
    error_rate: tasks.error_rate,
    average_task_duration_seconds: tasks.average_duration_seconds,
    average_step_duration_seconds: steps.average_duration_seconds,
    task_duration: distribution(tasks.durations),
    step_duration: distribution(steps.durations),
    step_life: steps.life,
    percentile_relative_error: 0.01,
    step_execution_count: steps.execution_count,
    step_error_count: steps.error_count,
    attempt_count: steps.attempt_count,
    failed_attempt_count: steps.failed_attempt_count,
    reopened_count: steps.reopened_count,
    tasks_per_hour: window.taskEnds.length / window.hours,
    steps_per_hour: steps.execution_count / window.hours,
    // Nothing runs and nothing waits: success is the only evidence.
    system_health_score: success,
    health_factors: {
      success: { score: success, explanation: answer.health_factors.success.explanation },
      liveness: { score: null, explanation: answer.health_factors.liveness.explanation },
      backlog: { score: null, explanation: answer.health_factors.backlog.explanation },
    },
    analysis_period_start: timestamp(window.startUs),
    analysis_period_end: now,
    calculated_at: now,
    data_through: now,
    filters: answer.filters,
  };
  equalWithin(answer, expected, "performance");
}

/** Asks for the bottlenecks and compares every field with the oracle's, the order too. */
export async function checkBottlenecks(db: Database, history: History, question: BottleneckParameters): Promise<void> {
  const { answer } = await analyticsOf(db, { poolUsed: 3, poolMax: 10 }).bottlenecks(question);
  const window = new Window(history, question);
  const steps = slowSteps(window, question);
  const tasks = slowTasks(window, question);
  inOrder(answer.slow_steps, steps, question, (step) => stepKey[question.sort](step));
  inOrder(answer.slow_tasks, tasks, question, (task) => taskKey(task, question.sort));
  checkFindings(answer, slowSteps(window, question));
  const now = timestamp(history.nowUs);
  const stepsByState = byState(
    stepStates,
    window.tasks.flatMap(({ stepStates: states }) => states),
  );
  const { slow_steps: _steps, slow_tasks: _tasks, recommendations: _said, findings: _found, ...rest } = answer;
  const expected: Omit<BottleneckAnalysis, "slow_steps" | "slow_tasks" | "recommendations" | "findings"> = {
    resource_utilization: {
      database_pool_utilization: 0.3,
      system_health: {
        total_tasks: window.tasks.length,
        tasks: byState(
          taskStates,
          window.tasks.map(({ state }) => state),
        ),
        total_steps: window.tasks.reduce((total, { stepStates: states }) => total + states.length, 0),
        steps: stepsByState,
      },
    },
    percentile_relative_error: 0.01,
    limit: question.limit,
    min_executions: question.min_executions,
    sort: question.sort,
    analysis_period_start: timestamp(window.startUs),
    analysis_period_end: now,
    calculated_at: now,
    data_through: now,
    filters: answer.filters,
  };
  equalWithin(rest, expected, "bottlenecks");
}

const stepKey: Record<BottleneckParameters["sort"], (step: SlowStep) => number | null> = {
  average_duration: (step) => step.average_duration_seconds,
  p95_duration: (step) => step.p95_duration_seconds,
  total_time: (step) => step.total_time_seconds,
  queue_wait: (step) => step.life.queue_wait_seconds,
  retry: (step) => step.life.retry_seconds,
  error_rate: (step) => step.error_rate,
  critical_path: (step) => step.critical_path_share,
};

/** Waiting and retrying are parts of steps: tasks are then ordered by their duration. */
function taskKey(task: SlowTask, sort: BottleneckParameters["sort"]): number | null {
  if (sort === "p95_duration") return task.p95_duration_seconds;
  if (sort === "total_time") return task.total_time_seconds;
  return sort === "error_rate" ? task.error_rate : task.average_duration_seconds;
}

type Named = SlowStep | SlowTask;

function nameOf(of: Named): string[] {
  return [of.namespace_name, of.task_name, of.version, ...("step_name" in of ? [of.step_name] : [])];
}

/** All steps with enough executions, in no order. */
function slowSteps({ stepEnds }: Window, { min_executions }: BottleneckParameters): SlowStep[] {
  const templates = grouped(stepEnds, (end) => [end.namespace_name, end.task_name, end.version]);
  return [...templates.values()].flatMap((ends) => {
    const total = stepFigures(ends).total_time_seconds;
    return [...grouped(ends, (end) => [end.step_name]).values()].flatMap((group) => {
      const figures = stepFigures(group);
      const [first] = group;
      return first === undefined || figures.execution_count < min_executions ? [] : [slowStep(first, figures, total)];
    });
  });
}

function slowStep(
  { namespace_name, task_name, version, step_name }: StepEnd,
  figures: StepFigures,
  templateSeconds: number,
): SlowStep {
  const { durations, lastUs, ...rest } = figures;
  return {
    namespace_name,
    task_name,
    version,
    step_name,
    ...rest,
    ...percentiles(durations),
    last_executed_at: lastUs === null ? null : timestamp(lastUs),
    running_count: 0,
    oldest_running_seconds: null,
    share_of_template_time: share(figures.total_time_seconds, templateSeconds),
    critical_path_share: null,
  };
}

function slowTasks({ taskEnds }: Window, { min_executions }: BottleneckParameters): SlowTask[] {
  const templates = grouped(taskEnds, (end) => [end.namespace_name, end.task_name, end.version]);
  return [...templates.values()].flatMap((ends) => {
    const [first] = ends;
    const figures: TaskFigures = taskFigures(ends);
    if (first === undefined || figures.execution_count < min_executions) return [];
    const { durations, lastUs, completion_rate: _, ...rest } = figures;
    const { namespace_name, task_name, version } = first;
    const last_executed_at = lastUs === null ? null : timestamp(lastUs);
    return [{ namespace_name, task_name, version, ...rest, ...percentiles(durations), last_executed_at }];
  });
}

/**
 * Compares a ranked list. Ranked by percentile two that lie closer than their error may change places: then it is checked that
 * the list is in its own order, and that nothing better was left out.
 */
function inOrder<Row extends Named>(
  actual: readonly Row[],
  all: readonly Row[],
  { limit, sort }: BottleneckParameters,
  keyOf: (row: Row) => number | null,
): void {
  const ranked = all.toSorted((a, b) => descending(keyOf(a), keyOf(b)) || byName(nameOf(a), nameOf(b)));
  assert.equal(actual.length, Math.min(limit, all.length));
  const named = new Map(all.map((row) => [nameOf(row).join("/"), row]));
  for (const [index, row] of actual.entries()) {
    const name = nameOf(row).join("/");
    equalWithin(row, named.get(name), name);
    if (sort !== "p95_duration")
      assert.deepEqual(nameOf(row), nameOf(ranked[index] as Row), `place ${index} by ${sort}`);
    else assert.ok(index === 0 || descending(keyOf(actual[index - 1] as Row), keyOf(row)) <= 0, `place ${index}`);
  }
  const worst = actual.map(keyOf).findLast((key) => key !== null);
  const left = ranked.filter((row) => !actual.some((shown) => nameOf(shown).join("/") === nameOf(row).join("/")));
  const best = left.map(keyOf).find((key) => key !== null);
  if (sort === "p95_duration" && worst !== undefined && best !== undefined) {
    assert.ok((best ?? 0) * 0.99 <= (worst ?? 0) * 1.01, `${best} was left out beside ${worst}`);
  }
}

function descending(a: number | null, b: number | null): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  // Sums in another order differ in their last bits.
  return Math.abs(a - b) <= 1e-12 * Math.max(Math.abs(a), Math.abs(b)) ? 0 : b - a;
}

function byName(a: readonly string[], b: readonly string[]): number {
  const different = a.findIndex((part, index) => part !== b[index]);
  if (different === -1) return 0;
  return (a[different] ?? "") < (b[different] ?? "") ? -1 : 1;
}

/** Steps that are slower than usual are told by other weeks than the window: usual.test.ts has them. */
function checkFindings(analysis: BottleneckAnalysis, steps: readonly SlowStep[]): void {
  assert.equal(analysis.recommendations.length, analysis.findings.length);
  const told = analysis.findings.map((finding, index) => ({
    finding,
    sentence: analysis.recommendations[index] ?? "",
  }));
  const ofWindow = told.filter(({ finding }) => finding.code !== "slower_than_usual");
  const findings = ofWindow.map(({ finding }) => finding);
  const failing = steps.filter(({ error_rate }) => error_rate !== null && error_rate > thresholds.errorRate);
  const slow = steps.filter(({ average_duration_seconds: mean }) => mean !== null && mean > thresholds.slowStepSeconds);
  const labels = [
    ...failing.map((step) => `high_error_rate ${nameOf(step).join("/")}`),
    ...slow.map((step) => `slow_step ${nameOf(step).join("/")}`),
  ];
  const subjectOf = ({ subject }: Finding): string => (subject === null ? "" : nameOf(subject as SlowStep).join("/"));
  assert.deepEqual(findings.map((finding) => `${finding.code} ${subjectOf(finding)}`).toSorted(), labels.toSorted());
  for (const { finding, sentence } of ofWindow) {
    const step = steps.find((one) => nameOf(one).join("/") === subjectOf(finding)) as SlowStep;
    assert.ok(sentence.includes(step.step_name) && sentence.includes(step.task_name));
    const life = Object.fromEntries(Object.entries(step.life).map(([part, seconds]) => [part, seconds ?? 0]));
    if (finding.code === "slow_step") {
      equalWithin(finding.evidence, { ...step.life }, "evidence");
      const longest = Object.entries(step.life).toSorted(([, a], [, b]) => (b ?? 0) - (a ?? 0))[0]?.[0] ?? "";
      assert.equal(finding.remedy, remedies[longest]);
    } else {
      const { error_rate, error_count, execution_count, attempt_count, failed_attempt_count } = step;
      equalWithin(
        finding.evidence,
        { error_rate, error_count, execution_count, attempt_count, failed_attempt_count, ...life },
        "evidence",
      );
      const { retry_seconds = 0, run_seconds = 0 } = life;
      assert.equal(finding.remedy, retry_seconds > run_seconds ? "fix_retries" : "fix_handler");
    }
  }
}

const remedies: Readonly<Record<string, Finding["remedy"]>> = {
  run_seconds: "fix_handler",
  queue_wait_seconds: "add_workers",
  retry_seconds: "fix_retries",
  dependency_wait_seconds: "reshape_graph",
};
