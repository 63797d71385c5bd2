import { BinaryRows } from "../postgres/binary-rows.ts";
import { dayUs, fiveMinutesUs, hourUs } from "./calendar.ts";
import { Figures } from "./figures.ts";
import type { EndedStep, EndedTask } from "./lives.ts";
import { histograms, overallColumns, rollupColumns } from "./tables.ts";

/** How many completed lives fell into each bucket of a histogram. */
type Histogram = Map<number, number>;
type ByIdentity = Map<number, Figures>;

/** Buckets of one length. */
interface Grain {
  readonly name: "f" | "h" | "q" | "d";
  readonly lengthUs: number;
  /** By the beginning of each. */
  readonly open: Map<number, ByIdentity>;
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
  readonly #fivesFromUs: number;
  readonly #fives: Grain = { name: "f", lengthUs: fiveMinutesUs, open: new Map() };
  readonly #hours: Grain = { name: "h", lengthUs: hourUs, open: new Map() };
  /** The shortest first: each bucket becomes part of one of the next. */
  readonly #grains: readonly Grain[] = [
    this.#fives,
    this.#hours,
    { name: "q", lengthUs: 6 * hourUs, open: new Map() },
    { name: "d", lengthUs: dayUs, open: new Map() },
  ];
  readonly #allTime: ByIdentity = new Map();
  readonly #taskIdentities = new Set<number>();
  // Ends come in the order of their time, nearly.
  #lastStart = Number.NaN;
  #ofLastStart: ByIdentity = new Map();

  /** @param fivesFromUs from when on buckets of five minutes are kept */
  constructor(fivesFromUs: number) {
    this.#fivesFromUs = fivesFromUs;
  }

  addStep(identity: number, step: EndedStep): void {
    this.#figuresOf(step.endedAtUs, identity).addStep(step);
  }

  addTask(identity: number, task: EndedTask, stepCount: number): void {
    this.#taskIdentities.add(identity);
    this.#figuresOf(task.endedAtUs, identity).addTask(task, stepCount);
  }

  /** Everything that is still to come ends at `us` or later. */
  closeBefore(us: number): void {
    for (const [place, { name, lengthUs, open }] of this.#grains.entries()) {
      const next = this.#grains[place + 1];
      for (const [start, bucket] of open) {
        if (start + lengthUs > us) continue;
        this.#write(name, start, bucket);
        const longer =
          next === undefined ? this.#allTime : inMap(next.open, start - (start % next.lengthUs), newBucket);
        for (const [identity, figures] of bucket) inMap(longer, identity, newFigures).merge(figures);
        open.delete(start);
      }
    }
  }

  /** Nothing is still to come. */
  finish(): void {
    this.closeBefore(Number.MAX_SAFE_INTEGER);
    this.#write("a", null, this.#allTime);
  }

  #figuresOf(us: number, identity: number): Figures {
    const { lengthUs, open } = us >= this.#fivesFromUs ? this.#fives : this.#hours;
    const start = us - (us % lengthUs);
    // No hour begins with five minutes that are kept and is still asked for itself, so that a beginning is of one grain only.
    if (start !== this.#lastStart) {
      this.#lastStart = start;
      this.#ofLastStart = inMap(open, start, newBucket);
    }
    return inMap(this.#ofLastStart, identity, newFigures);
  }

  #write(grain: Grain["name"] | "a", bucketUs: number | null, bucket: ByIdentity): void {
    const overall = { steps: new Map<number, number>(), tasks: new Map<number, number>() };
    for (const [identity, figures] of bucket) {
      this.rollups.begin(rollupColumns.length);
      writeTime(this.rollups, grain, bucketUs);
      this.rollups.int4(identity);
      writeFigures(this.rollups, figures);
      if (figures.histogram.size === 0) continue;
      addTo(this.#taskIdentities.has(identity) ? overall.tasks : overall.steps, figures.histogram);
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

function writeTime(rows: BinaryRows, grain: string, bucketUs: number | null): void {
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

function newBucket(): ByIdentity {
  return new Map();
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
