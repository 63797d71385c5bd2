import type { Call } from "./recorder.ts";
import type { StoredStep, StoredTask } from "./stored.ts";
import type { Trace, TraceStep } from "./trace.ts";
import type { Violations } from "./violations.ts";

/** One replayed task: what its handlers saw, and what the database holds of it. */
export interface Execution {
  readonly task: StoredTask | undefined;
  readonly calls: readonly Call[];
  readonly steps: readonly StoredStep[];
}

/** A handler's own measure and the worker's differ by what lies between them; a machine under load may take its time there. */
const handlerToWorkerUsMax = 250_000;

/** Checks that a task ran as its trace says: each step exactly once, none before its parents' end, its times and parts in order. */
export function checkExecution(trace: Trace, { task, calls, steps }: Execution, violations: Violations): void {
  violations.same("a replayed task is complete", "its state", task?.state, "complete");
  violations.same("a task has the steps of its trace", "their number", steps.length, trace.steps.length);
  const callsOf = groupByName(calls, (call) => call.step);
  const storedOf = groupByName(steps, (step) => step.name);
  const byId = new Map(trace.steps.map((step) => [step.id, step]));
  for (const step of trace.steps) {
    const [call, ...again] = callsOf.get(step.name) ?? [];
    const [stored] = storedOf.get(step.name) ?? [];
    const ran = call !== undefined && again.length === 0 && stored !== undefined;
    violations.require(
      ran,
      "a step runs exactly once",
      () => `${step.name} ran ${again.length + (call ? 1 : 0)} times`,
    );
    if (call === undefined || stored === undefined) continue;
    checkRecord(stored, violations);
    checkMeasure(call, stored, violations);
    const parents = step.parents.flatMap((id) => byId.get(id) ?? []);
    checkCallOrder(
      step,
      call,
      parents.flatMap(({ name }) => callsOf.get(name) ?? []),
      violations,
    );
    checkStoredOrder(
      stored,
      parents.flatMap(({ name }) => storedOf.get(name) ?? []),
      violations,
    );
  }
}

function groupByName<Item>(items: readonly Item[], nameOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(nameOf(item));
    if (group === undefined) groups.set(nameOf(item), [item]);
    else group.push(item);
  }
  return groups;
}

/** One attempt, one result, one fact; times in order; the parts of the life as the times say, and their sum the life. */
function checkRecord(step: StoredStep, violations: Violations): void {
  const { name, readyUs, firstStartedUs, startedUs, finishedUs, parts } = step;
  const once = [step.state, step.life, step.attempt, step.resultCount, step.factCount].join(" ");
  violations.same(
    "a step is recorded exactly once",
    `${name}: state, life, attempt, results, facts`,
    once,
    "complete 1 1 1 1",
  );
  if (readyUs === null || firstStartedUs === null || startedUs === null || finishedUs === null || parts === null) {
    violations.require(false, "a complete step has all its times and a fact", () => name);
    return;
  }
  const times = [step.createdUs, readyUs, firstStartedUs, startedUs, finishedUs];
  const ordered = times.every((time, index) => index === 0 || time >= (times[index - 1] ?? 0));
  violations.require(
    ordered,
    "created <= ready <= first started <= started <= finished",
    () => `${name}: ${times.join(" ")}`,
  );
  const { dependencyWaitUs, queueWaitUs, retryUs, runUs } = parts;
  const rule = "the parts of a step's life are what its times say";
  violations.same(rule, `${name}: dependency_wait`, dependencyWaitUs, readyUs - step.createdUs);
  violations.same(rule, `${name}: retry`, retryUs, startedUs - firstStartedUs);
  violations.same(rule, `${name}: run`, runUs, step.runUs);
  const life = finishedUs - step.createdUs;
  violations.same("the four parts sum to the life", name, dependencyWaitUs + queueWaitUs + retryUs + runUs, life);
  violations.require(queueWaitUs >= 0, "no part of a life is negative", () => `${name}: queue_wait ${queueWaitUs} us`);
}

/** The worker measures around the handler: no less than the handler did itself, unless cut to the time the step was held. */
function checkMeasure(call: Call, step: StoredStep, violations: Violations): void {
  const { runUs, startedUs, finishedUs } = step;
  if (runUs === null || startedUs === null || finishedUs === null) return;
  const ownUs = (call.endedMs - call.startedMs) * 1000;
  const isCut = runUs === finishedUs - startedUs;
  const holds = (runUs >= ownUs - 1 || isCut) && runUs <= ownUs + handlerToWorkerUsMax;
  violations.require(
    holds,
    "the recorded run time is the handler's",
    () => `${step.name}: ${runUs} us for ${ownUs} us`,
  );
}

/** By this process' monotonic clock: the handler began after its parents' had ended, and was given their results. */
function checkCallOrder(step: TraceStep, call: Call, parents: readonly Call[], violations: Violations): void {
  for (const parent of parents) {
    violations.require(
      call.startedMs >= parent.endedMs,
      "no handler begins before its parents' have ended",
      () => `${step.name} began ${parent.endedMs - call.startedMs} ms before ${parent.step} ended`,
    );
  }
  const expected = parents.map((parent) => parent.step).toSorted();
  violations.same(
    "a handler is given its parents' results",
    step.name,
    call.resultsOf.join(),
    [...new Set(expected)].join(),
  );
}

/** By the database's clock: ready at the very end of its last parent, which released it, and started after that. */
function checkStoredOrder(step: StoredStep, parents: readonly StoredStep[], violations: Violations): void {
  const ends = parents.map((parent) => parent.finishedUs ?? Number.POSITIVE_INFINITY);
  const last = Math.max(step.createdUs, ...ends);
  const started = step.startedUs ?? Number.NEGATIVE_INFINITY;
  violations.require(
    started >= last,
    "no step starts before its parents have ended",
    () => `${step.name}: ${started} < ${last}`,
  );
  violations.same("a step is ready when its last parent has ended", step.name, step.readyUs, last);
  const released = parents.filter((parent) => parent.finishedUs === last).map((parent) => parent.name);
  violations.require(
    parents.length === 0 ? step.releasedBy === null : released.includes(step.releasedBy ?? ""),
    "a step is released by a parent that ended last",
    () => `${step.name} by ${String(step.releasedBy)}, not by ${released.join(" or ")}`,
  );
}
