import { BinaryRows } from "../postgres/binary-rows.ts";
import { dayUs, hourUs } from "./calendar.ts";
import { Figures } from "./figures.ts";
import type { EndedStep, EndedTask } from "./lives.ts";
import { rollupColumns } from "./tables.ts";

type Grain = "h" | "d" | "a";
type ByIdentity = Map<number, Figures>;

/**
 * Sums ends up as `tasker.fold` does, while they are made: nothing has to be read again. Buckets of time become rows as soon as
 * nothing can end in them any more.
 */
export class RollupBuilder {
  readonly rollups = new BinaryRows();
  readonly histograms = new BinaryRows();
  readonly #hours = new Map<number, ByIdentity>();
  readonly #days = new Map<number, ByIdentity>();
  readonly #allTime: ByIdentity = new Map();
  // Ends come hour by hour, nearly.
  #lastHour = Number.NaN;
  #ofLastHour: ByIdentity = new Map();

  addStep(identity: number, step: EndedStep): void {
    this.#ofHour(step.endedAtUs, identity).addStep(step);
  }

  addTask(identity: number, task: EndedTask, stepCount: number): void {
    this.#ofHour(task.endedAtUs, identity).addTask(task, stepCount);
  }

  /** Everything that is still to come ends at `us` or later. */
  closeBefore(us: number): void {
    for (const [hour, byIdentity] of this.#hours) {
      if (hour + hourUs > us) continue;
      const day = inMap(this.#days, hour - (hour % dayUs), () => new Map<number, Figures>());
      for (const [identity, figures] of byIdentity) {
        this.#write("h", hour, identity, figures);
        inMap(day, identity, newFigures).merge(figures);
      }
      this.#hours.delete(hour);
    }
    for (const [day, byIdentity] of this.#days) {
      if (day + dayUs > us) continue;
      for (const [identity, figures] of byIdentity) {
        this.#write("d", day, identity, figures);
        inMap(this.#allTime, identity, newFigures).merge(figures);
      }
      this.#days.delete(day);
    }
  }

  /** Nothing is still to come. */
  finish(): void {
    this.closeBefore(Number.MAX_SAFE_INTEGER);
    for (const [identity, figures] of this.#allTime) this.#write("a", null, identity, figures);
    this.#allTime.clear();
  }

  #ofHour(us: number, identity: number): Figures {
    const hour = us - (us % hourUs);
    if (hour !== this.#lastHour) {
      this.#lastHour = hour;
      this.#ofLastHour = inMap(this.#hours, hour, () => new Map<number, Figures>());
    }
    return inMap(this.#ofLastHour, identity, newFigures);
  }

  #write(grain: Grain, bucketUs: number | null, identity: number, figures: Figures): void {
    this.rollups.begin(rollupColumns.length);
    writeKey(this.rollups, grain, bucketUs, identity);
    writeFigures(this.rollups, figures);
    if (figures.histogram.size === 0) return;
    const buckets = [...figures.histogram].toSorted(([a], [b]) => a - b);
    this.histograms.begin(5);
    writeKey(this.histograms, grain, bucketUs, identity);
    this.histograms.int4Array(buckets.map(([bucket]) => bucket));
    this.histograms.int8Array(buckets.map(([, count]) => count));
  }
}

function writeKey(rows: BinaryRows, grain: Grain, bucketUs: number | null, identity: number): void {
  rows.label(grain);
  if (bucketUs === null) rows.minusInfinity();
  else rows.timestamp(bucketUs);
  rows.int4(identity);
}

/** In the order of `rollupColumns`, after the key. */
function writeFigures(rows: BinaryRows, figures: Figures): void {
  rows.int8(figures.completed);
  rows.int8(figures.failed);
  rows.int8(figures.cancelled);
  rows.int8(figures.resolved);
  rows.int8(0); // skipped: nothing leads there yet
  rows.int8(figures.blocked);
  rows.int8(figures.reopened);
  rows.int8(figures.attempts);
  rows.int8(figures.failedAttempts);
  rows.int8(figures.durationUs);
  rows.int8(figures.maxDurationUs);
  rows.int8(figures.failedDurationUs);
  rows.int8(figures.dependencyWaitUs);
  rows.int8(figures.queueWaitUs);
  rows.int8(figures.retryUs);
  rows.int8(figures.stepCount);
  rows.int8(figures.failedStepCount);
  if (figures.lastEndedAtUs === null) rows.null();
  else rows.timestamp(figures.lastEndedAtUs);
}

function newFigures(): Figures {
  return new Figures();
}

/** The value of a key, made when it is not there. */
export function inMap<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
