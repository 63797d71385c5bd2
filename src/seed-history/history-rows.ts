import { BinaryRows } from "../postgres/binary-rows.ts";
import type { BulkLoader, CopyTarget } from "../postgres/bulk-load.ts";
import { dayUs } from "./calendar.ts";
import type { DayTables } from "./day-tables.ts";
import type { EndedStep, EndedTask, TaskHistory } from "./lives.ts";
import { copyOverall } from "./overall-histograms.ts";
import { inMap, RollupBuilder } from "./rollups.ts";
import { StateChanges } from "./state-changes.ts";
import { histograms, rollups, stateCounts, stateDeltas, stepFacts, taskFacts } from "./tables.ts";
import type { TemplateModel } from "./templates.ts";

/** The identities of a template: its own, and those of its steps by position. */
export interface TemplateIdentities {
  readonly task: number;
  readonly steps: readonly number[];
}

export interface HistoryRowsOptions {
  readonly identities: ReadonlyMap<TemplateModel, TemplateIdentities>;
  /** The facts' and deltas' tick: below the watermark, since the rollups have them already. */
  readonly tick: number;
  /** What ended before has left only rollups. */
  readonly factsFromUs: number;
  /** From when on buckets of five minutes are kept. */
  readonly fivesFromUs: number;
  readonly dayTables: DayTables;
}

/** What has been made so far. */
export interface HistoryCounts {
  tasks: number;
  /** Lives of steps that ended, whatever their outcome. */
  steps: number;
}

/** Turns histories into rows of every table of the analytics, and writes them. */
export class HistoryRows {
  readonly counts: HistoryCounts = { tasks: 0, steps: 0 };
  readonly #options: HistoryRowsOptions;
  /** By the beginning of their day. */
  readonly #steps = new Map<number, BinaryRows>();
  readonly #tasks = new BinaryRows();
  readonly #rollups: RollupBuilder;
  readonly #states: StateChanges;
  /** Begins the next call. */
  #next: TaskHistory | undefined;

  constructor(options: HistoryRowsOptions) {
    this.#options = options;
    this.#rollups = new RollupBuilder(options.fivesFromUs);
    this.#states = new StateChanges(options.tick, options.factsFromUs);
  }

  /** Writes the next `tasksMax` histories at most. Resolves to whether any is left. */
  async writeSome(loader: BulkLoader, histories: Iterator<TaskHistory>, tasksMax: number): Promise<boolean> {
    let left = tasksMax;
    this.#next ??= nextOf(histories);
    while (left > 0 && this.#next !== undefined) {
      const day = startOfDay(this.#next.createdAtUs);
      await this.#copySteps(loader, day);
      const chunks = function* (this: HistoryRows): Generator<Buffer> {
        const rows = inMap(this.#steps, day, newRows);
        for (; left > 0 && this.#next !== undefined && startOfDay(this.#next.createdAtUs) === day; left--) {
          this.#add(this.#next);
          if (rows.hasFull) yield* rows.takeFull();
          this.#next = nextOf(histories);
        }
        yield* rows.take();
      };
      // Steps are by far the most: they go to the server while they are made, the others wait for their turn.
      await loader.copy(this.#options.dayTables.targetOf(day), chunks.call(this));
    }
    await this.#copy(loader, taskFacts, this.#tasks);
    const isLeft = this.#next !== undefined;
    if (!isLeft) {
      await this.#copySteps(loader, Number.POSITIVE_INFINITY);
      this.#rollups.finish();
      this.#states.finish();
      await this.#copy(loader, stateCounts, this.#states.counts);
    }
    await this.#copy(loader, stateDeltas, this.#states.deltas);
    await this.#copy(loader, rollups, this.#rollups.rollups);
    await this.#copy(loader, histograms, this.#rollups.histograms);
    await copyOverall(loader, this.#rollups.overall);
    return isLeft;
  }

  /** Those of the days before, in which nothing can end any more. */
  async #copySteps(loader: BulkLoader, beforeDay: number): Promise<void> {
    for (const [day, rows] of this.#steps) {
      if (day >= beforeDay) continue;
      await this.#copy(loader, this.#options.dayTables.targetOf(day), rows);
      this.#steps.delete(day);
    }
  }

  async #copy(loader: BulkLoader, target: CopyTarget, rows: BinaryRows): Promise<void> {
    if (rows.rows > 0) await loader.copy(target, rows.take());
  }

  #add(history: TaskHistory): void {
    const { template, createdAtUs, steps, ends } = history;
    const identities = this.#options.identities.get(template);
    if (identities === undefined) throw new Error(`${template.name} ${template.version} is not registered`);
    // Nothing ends before its task was created, and histories come in that order.
    this.#rollups.closeBefore(createdAtUs);
    this.#states.closeBefore(createdAtUs);
    this.#states.add(identities.task, history);
    for (const step of steps) {
      const identity = identities.steps[step.position] as number;
      this.#rollups.addStep(identity, step);
      if (step.endedAtUs >= this.#options.factsFromUs) this.#stepFact(identity, step, history);
    }
    for (const end of ends) {
      this.#rollups.addTask(identities.task, end, template.steps.length);
      if (end.endedAtUs >= this.#options.factsFromUs) this.#taskFact(identities.task, end, history);
    }
    this.counts.tasks += 1;
    this.counts.steps += steps.length;
  }

  /** In the order of `stepFacts.columns`. */
  #stepFact(identity: number, step: EndedStep, history: TaskHistory): void {
    const rows = inMap(this.#steps, startOfDay(step.endedAtUs), newRows);
    rows.begin(stepFacts.columns.length);
    rows.timestamp(step.endedAtUs);
    rows.int8(this.#options.tick);
    rows.int8(step.dependencyWaitUs);
    rows.int8(step.queueWaitUs);
    rows.int8(step.retryUs);
    rows.int8(step.runUs);
    taskId(rows, history);
    rows.int4(identity);
    rows.int4(step.attempts);
    rows.int4(step.failedAttempts);
    rows.label(step.outcome);
    rows.bool(step.reopened);
  }

  /** In the order of `taskFacts.columns`. */
  #taskFact(identity: number, end: EndedTask, history: TaskHistory): void {
    const rows = this.#tasks;
    rows.begin(taskFacts.columns.length);
    rows.timestamp(end.endedAtUs);
    rows.int8(this.#options.tick);
    rows.int8(end.durationUs);
    taskId(rows, history);
    rows.int4(identity);
    rows.int4(history.template.steps.length);
    rows.int4(end.failedStepCount);
    rows.label(end.outcome);
    rows.bool(end.reopened);
  }
}

function nextOf(histories: Iterator<TaskHistory>): TaskHistory | undefined {
  const next = histories.next();
  return next.done === true ? undefined : next.value;
}

function startOfDay(us: number): number {
  return us - (us % dayUs);
}

function newRows(): BinaryRows {
  return new BinaryRows();
}

/** A UUIDv7 of the task's creation. */
function taskId(rows: BinaryRows, { createdAtUs, idBits: [a, b, c] }: TaskHistory): void {
  const ms = Math.floor(createdAtUs / 1000);
  const version = (((ms & 0xffff) << 16) | 0x7000 | (a & 0xfff)) >>> 0;
  rows.uuid(Math.floor(ms / 2 ** 16) >>> 0, version, ((b & 0x3fffffff) | 0x80000000) >>> 0, c);
}
