import { BinaryRows } from "../postgres/binary-rows.ts";
import { type StepState, stepStates, type TaskState } from "../workflow/states.ts";
import { hourUs } from "./calendar.ts";
import type { EndedStep, TaskHistory } from "./lives.ts";
import { inMap } from "./rollups.ts";
import { stateCounts, stateDeltas } from "./tables.ts";

type Subject = "step" | "task";

interface Change {
  readonly identity: number;
  readonly subject: Subject;
  readonly state: StepState | TaskState;
  /** 1: into the state, -1: out of it. */
  readonly sign: 1 | -1;
  firstAtUs: number;
  count: number;
}

interface Count {
  readonly identity: number;
  readonly subject: Subject;
  readonly state: StepState | TaskState;
  firstAtUs: number;
  count: number;
}

/** Every state of a task is one of a step too. */
const stateNumbers = new Map<StepState | TaskState, number>(stepStates.map((state, index) => [state, index]));

/** A number for each identity, subject and state: cheaper to look up than a text. */
function keyOf(identity: number, subject: Subject, state: StepState | TaskState): number {
  return (identity * 2 + (subject === "step" ? 1 : 0)) * stateNumbers.size + (stateNumbers.get(state) ?? Number.NaN);
}

/** Counts tasks and steps by state: as deltas, a row per hour, template, state and direction, and as sums. */
export class StateChanges {
  readonly deltas = new BinaryRows();
  readonly counts = new BinaryRows();
  readonly #hours = new Map<number, Map<number, Change>>();
  readonly #sums = new Map<number, Count>();
  readonly #tick: number;
  readonly #keptFromUs: number;

  /** @param keptFromUs deltas recorded before are summed only */
  constructor(tick: number, keptFromUs: number) {
    this.#tick = tick;
    this.#keptFromUs = keptFromUs;
  }

  /** @param identity the template's, for its steps too */
  add(identity: number, { template, createdAtUs, steps, ends }: TaskHistory): void {
    this.#change(identity, "task", "pending", 1, createdAtUs, 1);
    this.#change(identity, "step", "pending", 1, createdAtUs, template.steps.length);
    let state: TaskState = "pending";
    for (const { outcome, endedAtUs } of ends) {
      this.#change(identity, "task", state, -1, endedAtUs, 1);
      this.#change(identity, "task", outcome, 1, endedAtUs, 1);
      state = outcome;
    }
    this.#addSteps(identity, steps);
  }

  /** Steps that changed alike in one hour are counted together: nearly all of a task's. */
  #addSteps(identity: number, steps: TaskHistory["steps"]): void {
    const before: StepState[] = [];
    let index = 0;
    while (index < steps.length) {
      const { position, outcome, endedAtUs } = steps[index] as EndedStep;
      const from = before[position] ?? "pending";
      const hour = endedAtUs - (endedAtUs % hourUs);
      let firstAtUs = endedAtUs;
      let count = 0;
      for (let next = steps[index]; next !== undefined; next = steps[index]) {
        const isAlike =
          next.outcome === outcome &&
          (before[next.position] ?? "pending") === from &&
          next.endedAtUs - (next.endedAtUs % hourUs) === hour;
        if (!isAlike) break;
        before[next.position] = outcome;
        firstAtUs = Math.min(firstAtUs, next.endedAtUs);
        count += 1;
        index += 1;
      }
      this.#change(identity, "step", from, -1, firstAtUs, count);
      this.#change(identity, "step", outcome, 1, firstAtUs, count);
    }
  }

  /** Everything that is still to come happens at `us` or later. */
  closeBefore(us: number): void {
    for (const [hour, changes] of this.#hours) {
      if (hour + hourUs > us) continue;
      for (const change of changes.values()) this.#close(change);
      this.#hours.delete(hour);
    }
  }

  /** Nothing is still to come. */
  finish(): void {
    this.closeBefore(Number.MAX_SAFE_INTEGER);
    for (const { identity, subject, state, count, firstAtUs } of this.#sums.values()) {
      this.counts.begin(stateCounts.columns.length);
      this.counts.int4(identity);
      this.counts.label(subject);
      this.counts.label(state);
      this.counts.int8(count);
      this.counts.timestamp(firstAtUs);
    }
  }

  #change(
    identity: number,
    subject: Subject,
    state: StepState | TaskState,
    sign: 1 | -1,
    atUs: number,
    count: number,
  ): void {
    const hour = inMap(this.#hours, atUs - (atUs % hourUs), () => new Map<number, Change>());
    const key = keyOf(identity, subject, state) * 2 + (sign === 1 ? 1 : 0);
    const change = inMap(hour, key, () => ({ identity, subject, state, sign, firstAtUs: atUs, count: 0 }));
    change.count += count;
    if (atUs < change.firstAtUs) change.firstAtUs = atUs;
  }

  #close({ identity, subject, state, sign, firstAtUs, count }: Change): void {
    const key = keyOf(identity, subject, state);
    const sum = inMap(this.#sums, key, () => ({ identity, subject, state, firstAtUs, count: 0 }));
    sum.count += sign * count;
    sum.firstAtUs = Math.min(sum.firstAtUs, firstAtUs);
    if (firstAtUs < this.#keptFromUs) return;
    this.deltas.begin(stateDeltas.columns.length);
    this.deltas.timestamp(firstAtUs);
    this.deltas.int8(this.#tick);
    this.deltas.int4(identity);
    this.deltas.int4(sign * count);
    this.deltas.label(subject);
    this.deltas.label(state);
  }
}
