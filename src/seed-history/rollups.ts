import { BinaryRows } from "../postgres/binary-rows.ts";
import { dayUs, hourUs } from "./calendar.ts";
import { Figures } from "./figures.ts";
import type { EndedStep, EndedTask } from "./lives.ts";
import { histograms, overallColumns, rollupColumns } from "./tables.ts";

type Grain = "h" | "d" | "a";
/** How many completed lives fell into each bucket of a histogram. */
type Histogram = Map<number, number>;

/** Those of everything that fell into a bucket of time. */
class Overall {
  readonly steps: Histogram = new Map();
  readonly tasks: Histogram = new Map();
}

class TimeBucket {
  readonly byIdentity = new Map<number, Figures>();
  readonly overall = new Overall();

  /** Adds those of a shorter one. */
  merge(other: TimeBucket): void {
    for (const [identity, figures] of other.byIdentity) inMap(this.byIdentity, identity, newFigures).merge(figures);
    addTo(this.overall.steps, other.overall.steps);
    addTo(this.overall.tasks, other.overall.tasks);
  }
}

/**
 * Sums ends up as `tasker.fold` does, while they are made: nothing has to be read again. Buckets of time become rows as soon as
 * nothing can end in them any more.
 */
export class RollupBuilder {
  readonly rollups = new BinaryRows();
  readonly histograms = new BinaryRows();
  /** Of all steps together and of all tasks together. */
  readonly overall = new BinaryRows();
  readonly #hours = new Map<number, TimeBucket>();
  readonly #days = new Map<number, TimeBucket>();
  readonly #allTime = new TimeBucket();
  readonly #taskIdentities = new Set<number>();
  // Ends come hour by hour, nearly.
  #lastHour = Number.NaN;
  #ofLastHour = new TimeBucket();

  addStep(identity: number, step: EndedStep): void {
    this.#ofHour(step.endedAtUs, identity).addStep(step);
  }

  addTask(identity: number, task: EndedTask, stepCount: number): void {
    this.#taskIdentities.add(identity);
    this.#ofHour(task.endedAtUs, identity).addTask(task, stepCount);
  }

  /** Everything that is still to come ends at `us` or later. */
  closeBefore(us: number): void {
    for (const [hour, bucket] of this.#hours) {
      if (hour + hourUs > us) continue;
      const { steps, tasks } = bucket.overall;
      for (const [identity, { histogram }] of bucket.byIdentity) {
        addTo(this.#taskIdentities.has(identity) ? tasks : steps, histogram);
      }
      this.#write("h", hour, bucket);
      inMap(this.#days, hour - (hour % dayUs), newBucket).merge(bucket);
      this.#hours.delete(hour);
    }
    for (const [day, bucket] of this.#days) {
      if (day + dayUs > us) continue;
      this.#write("d", day, bucket);
      this.#allTime.merge(bucket);
      this.#days.delete(day);
    }
  }

  /** Nothing is still to come. */
  finish(): void {
    this.closeBefore(Number.MAX_SAFE_INTEGER);
    this.#write("a", null, this.#allTime);
  }

  #ofHour(us: number, identity: number): Figures {
    const hour = us - (us % hourUs);
    if (hour !== this.#lastHour) {
      this.#lastHour = hour;
      this.#ofLastHour = inMap(this.#hours, hour, newBucket);
    }
    return inMap(this.#ofLastHour.byIdentity, identity, newFigures);
  }

  #write(grain: Grain, bucketUs: number | null, { byIdentity, overall }: TimeBucket): void {
    for (const [identity, figures] of byIdentity) {
      this.rollups.begin(rollupColumns.length);
      writeTime(this.rollups, grain, bucketUs);
      this.rollups.int4(identity);
      writeFigures(this.rollups, figures);
      if (figures.histogram.size === 0) continue;
      this.histograms.begin(histograms.columns.length);
      writeTime(this.histograms, grain, bucketUs);
      this.histograms.int4(identity);
      writeHistogram(this.histograms, figures.histogram);
    }
    for (const [isTask, histogram] of [
      [false, overall.steps],
      [true, overall.tasks],
    ] as const) {
      if (histogram.size === 0) continue;
      this.overall.begin(overallColumns.length);
      writeTime(this.overall, grain, bucketUs);
      this.overall.bool(isTask);
      writeHistogram(this.overall, histogram);
    }
  }
}

function addTo(sum: Histogram, histogram: Histogram): void {
  for (const [key, count] of histogram) sum.set(key, (sum.get(key) ?? 0) + count);
}

function writeHistogram(rows: BinaryRows, histogram: Histogram): void {
  const buckets = [...histogram].toSorted(([a], [b]) => a - b);
  rows.int4Array(buckets.map(([bucket]) => bucket));
  rows.int8Array(buckets.map(([, count]) => count));
}

function writeTime(rows: BinaryRows, grain: Grain, bucketUs: number | null): void {
  rows.label(grain);
  if (bucketUs === null) rows.minusInfinity();
  else rows.timestamp(bucketUs);
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

function newBucket(): TimeBucket {
  return new TimeBucket();
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
