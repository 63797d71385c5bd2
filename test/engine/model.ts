import { isTaskEnded, type StepState } from "../../src/workflow/states.ts";
import type { Graph } from "../support/engine.ts";
import type { ModelClaim, ModelEnd, ModelStep, ModelTask, Time } from "./model-states.ts";

const endedWell: readonly StepState[] = ["complete", "resolved_manually", "skipped"];
const runnable: readonly StepState[] = ["enqueued", "in_progress", "waiting_for_retry"];
const unfinished: readonly StepState[] = ["pending", ...runnable];

/**
 * The states of tasks and steps by the rules of docs/engine.md, in memory and in plain words: nothing is counted down, everything
 * that the engine keeps a counter of is counted anew. It shares no code with the engine but the names of the states.
 */
export class Model {
  /** Before 0 when the clock was set back. */
  now: Time = 0;
  tasks: ModelTask[] = [];

  /** A model in the same state that goes its own way. */
  copy(): Model {
    const copy = new Model();
    const { now, tasks } = structuredClone({ now: this.now, tasks: this.tasks });
    return Object.assign(copy, { now, tasks });
  }

  get steps(): ModelStep[] {
    return this.tasks.flatMap((task) => task.steps);
  }

  step(id: string): ModelStep {
    return found(this.steps.find((step) => step.id === id));
  }

  task(id: string): ModelTask {
    return found(this.tasks.find((task) => task.id === id));
  }

  /** What a creation with this key has to answer; undefined when it creates. */
  firstWithKey(key: string | undefined): ModelTask | undefined {
    return key === undefined ? undefined : this.tasks.find((task) => task.key === key);
  }

  create(
    graph: Graph,
    ids: { readonly task: string; readonly step: (name: string) => string },
    asked: Pick<ModelTask, "key" | "input" | "priority" | "runAt">,
  ): void {
    const steps = new Map<string, ModelStep>();
    for (const [name, after] of Object.entries(graph)) {
      const parents = after.map((parent) => found(steps.get(parent)));
      const readyAt = parents.length === 0 ? Math.max(this.now, asked.runAt ?? this.now) : null;
      const step: ModelStep = {
        id: ids.step(name),
        name,
        parents,
        children: [],
        state: parents.length === 0 ? "enqueued" : "pending",
        life: 1,
        attempt: 0,
        failedAttempts: 0,
        availableAt: readyAt,
        owner: null,
        leaseEnd: null,
        readyAt,
        firstStartedAt: null,
        startedAt: null,
        finishedAt: null,
        results: [],
      };
      for (const parent of parents) parent.children.push(step);
      steps.set(name, step);
    }
    const state = { state: "pending", life: 1, changedAt: this.now, endedAt: null } as const;
    this.tasks.push({ id: ids.task, ...asked, ...state, steps: [...steps.values()] });
  }

  /** Hands out what may run: by priority, then by the time since when it may, then by id. */
  claim(owner: string, limit: number, leaseMs: number): ModelStep[] {
    const { now } = this;
    const waiting = this.steps.filter(
      ({ state, availableAt }) =>
        (state === "enqueued" || state === "waiting_for_retry") && (availableAt ?? Infinity) <= now,
    );
    const priority = (step: ModelStep): number => this.taskOf(step).priority;
    const claimed = waiting
      .toSorted(
        (a, b) => priority(b) - priority(a) || (a.availableAt ?? 0) - (b.availableAt ?? 0) || (a.id < b.id ? -1 : 1),
      )
      .slice(0, limit);
    for (const step of claimed) {
      step.state = "in_progress";
      step.attempt += 1;
      step.startedAt = Math.max(step.startedAt ?? step.readyAt ?? now, now);
      step.firstStartedAt ??= step.startedAt;
      Object.assign(step, { owner, leaseEnd: now + leaseMs, availableAt: null });
      const task = this.taskOf(step);
      if (task.state === "pending") {
        task.state = "in_progress";
        task.changedAt = Math.max(task.changedAt, now);
      }
    }
    return claimed;
  }

  isHeld({ stepId, life, attempt, owner }: ModelClaim): boolean {
    const step = this.step(stepId);
    return step.state === "in_progress" && step.owner === owner && step.life === life && step.attempt === attempt;
  }

  /** Records a batch of ends, which has one time. Returns the steps whose end counts. */
  settle(batch: readonly { readonly claim: ModelClaim; readonly end: ModelEnd }[]): string[] {
    const accepted = batch.filter(({ claim }) => this.isHeld(claim));
    const named = batch.map(({ claim }) => this.step(claim.stepId));
    const at = Math.max(
      this.now,
      ...named.map((step) => step.startedAt ?? -Infinity),
      ...named.map((step) => this.taskOf(step).changedAt),
    );
    for (const { claim, end } of accepted) {
      const step = this.step(claim.stepId);
      const { life, attempt } = claim;
      const succeeded = end.state === "complete";
      step.results.push({ life, attempt, succeeded, payload: succeeded ? end.output : end.message });
      if (!succeeded) step.failedAttempts += 1;
      Object.assign(step, { state: end.state, owner: null, leaseEnd: null });
      if (end.state === "waiting_for_retry") step.availableAt = at + end.delayMs;
      else step.finishedAt = at;
    }
    const tasks = new Set(accepted.map(({ claim }) => this.taskOf(this.step(claim.stepId))));
    for (const task of tasks) this.#goOn(task, at);
    return accepted.map(({ claim }) => claim.stepId);
  }

  /** When the next step may be claimed or loses its lease; undefined when nothing of the kind lies ahead or is due. */
  nextDue(): Time | undefined {
    const times = this.steps.flatMap((step) => [step.availableAt, step.leaseEnd]).filter((time) => time !== null);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** What has a lease that ran out. */
  expired(): ModelStep[] {
    return this.steps.filter((step) => step.leaseEnd !== null && step.leaseEnd < this.now);
  }

  /** Gives an attempt back as if it had not begun. */
  release(claims: readonly ModelClaim[]): number {
    const held = claims.filter((claim) => this.isHeld(claim)).map(({ stepId }) => this.step(stepId));
    for (const step of held) {
      step.attempt -= 1;
      if (step.attempt === 0) Object.assign(step, { startedAt: null, firstStartedAt: null });
      Object.assign(step, { state: "enqueued", owner: null, leaseEnd: null, availableAt: this.now });
    }
    return held.length;
  }

  /** Returns the steps whose leases are prolonged. */
  renew(claims: readonly ModelClaim[], leaseMs: number): string[] {
    const held = claims.filter((claim) => this.isHeld(claim)).map(({ stepId }) => stepId);
    for (const id of held) this.step(id).leaseEnd = this.now + leaseMs;
    return held;
  }

  /** Each of these returns whether the rules allow it; otherwise nothing changes. */
  cancel(task: ModelTask): boolean {
    if (isTaskEnded(task.state)) return false;
    const left = task.steps.filter((step) => unfinished.includes(step.state));
    const at = Math.max(this.now, task.changedAt, ...left.map((step) => step.startedAt ?? -Infinity));
    for (const step of left) {
      Object.assign(step, { state: "cancelled", finishedAt: at, availableAt: null, owner: null, leaseEnd: null });
    }
    Object.assign(task, { state: "cancelled", endedAt: at, changedAt: at });
    return true;
  }

  resolveTask(task: ModelTask): boolean {
    if (task.state !== "error") return false;
    const at = Math.max(this.now, task.changedAt);
    Object.assign(task, { state: "resolved_manually", endedAt: at, changedAt: at, life: task.life + 1 });
    return true;
  }

  reset(step: ModelStep): boolean {
    const task = this.taskOf(step);
    if (step.state !== "error" || (isTaskEnded(task.state) && task.state !== "error")) return false;
    const at = Math.max(this.now, task.changedAt);
    beginAnew(step, at);
    Object.assign(step, { state: "enqueued", availableAt: at });
    this.#reopen(step, at);
    return true;
  }

  /** Ends a step by hand: with an output, as if its handler had returned it, or without. */
  resolve(step: ModelStep, output: unknown): boolean {
    const task = this.taskOf(step);
    const states: readonly StepState[] = ["pending", "enqueued", "waiting_for_retry", "error"];
    if (!states.includes(step.state) || (isTaskEnded(task.state) && task.state !== "error")) return false;
    const at = Math.max(this.now, task.changedAt, step.startedAt ?? -Infinity);
    if (step.state === "error") beginAnew(step, at);
    Object.assign(step, { state: "resolved_manually", finishedAt: at, availableAt: null });
    if (output !== null) {
      step.results.push({ life: step.life, attempt: step.attempt + 1, succeeded: true, payload: output });
    }
    this.#reopen(step, at);
    this.#goOn(task, at);
    return true;
  }

  taskOf(step: ModelStep): ModelTask {
    return found(this.tasks.find((task) => task.steps.includes(step)));
  }

  /** The counters of a task, counted. */
  countersOf({ steps }: ModelTask): { unfinished: number; runnable: number; failed: number } {
    const count = (states: readonly StepState[]): number => steps.filter(({ state }) => states.includes(state)).length;
    return { unfinished: count(unfinished), runnable: count(runnable), failed: count(["error"]) };
  }

  /** Parents that have not ended well. */
  unmetOf({ parents }: ModelStep): number {
    return parents.filter((parent) => !endedWell.includes(parent.state)).length;
  }

  /** After steps ended: what waits for nothing more may run, and a task of which nothing can run ends. */
  #goOn(task: ModelTask, at: Time): void {
    task.changedAt = at;
    for (const step of task.steps) {
      if (step.state !== "pending" || this.unmetOf(step) > 0) continue;
      const readyAt = Math.max(at, task.runAt ?? at);
      Object.assign(step, { state: "enqueued", readyAt, availableAt: readyAt });
    }
    const counters = this.countersOf(task);
    if (counters.runnable > 0 || (counters.unfinished > 0 && counters.failed === 0)) return;
    for (const step of task.steps) {
      if (step.state === "pending") Object.assign(step, { state: "blocked", finishedAt: at });
    }
    Object.assign(task, { state: counters.failed > 0 ? "error" : "complete", endedAt: at });
  }

  /** What was blocked below a step waits again, and a task that had failed goes on. */
  #reopen(step: ModelStep, at: Time): void {
    const below = new Set<ModelStep>();
    const collect = (one: ModelStep): void => {
      for (const child of one.children.filter((next) => !below.has(next))) {
        below.add(child);
        collect(child);
      }
    };
    collect(step);
    for (const one of below) {
      if (one.state === "blocked") Object.assign(one, { state: "pending", life: one.life + 1, finishedAt: null });
    }
    const task = this.taskOf(step);
    if (task.state === "error") task.life += 1;
    Object.assign(task, { state: "in_progress", endedAt: null, changedAt: at });
  }
}

function beginAnew(step: ModelStep, at: Time): void {
  const times = { readyAt: at, firstStartedAt: null, startedAt: null, finishedAt: null };
  Object.assign(step, { life: step.life + 1, attempt: 0, failedAttempts: 0, ...times });
}

function found<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error("the history names what there is not");
  return value;
}
