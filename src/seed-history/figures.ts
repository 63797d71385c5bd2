import type { EndedStep, EndedTask } from "./lives.ts";

const logGamma = Math.log(1.01 / 0.99);

/** The histogram's bucket of a duration, as `tasker.bucket_key`. */
export function bucketKey(us: number): number {
  return us <= 0 ? -1 : Math.ceil(Math.log(us) / logGamma);
}

/** The figures of an identity in a bucket of time: a row of tasker.rollups. */
export class Figures {
  completed = 0;
  failed = 0;
  cancelled = 0;
  resolved = 0;
  blocked = 0;
  reopened = 0;
  attempts = 0;
  failedAttempts = 0;
  durationUs = 0;
  maxDurationUs = 0;
  failedDurationUs = 0;
  dependencyWaitUs = 0;
  queueWaitUs = 0;
  retryUs = 0;
  stepCount = 0;
  failedStepCount = 0;
  /** Null when nothing completed or failed. */
  lastEndedAtUs: number | null = null;
  /** How many completed lives fell into each bucket of the histogram. */
  readonly histogram = new Map<number, number>();

  addStep(step: EndedStep): void {
    switch (step.outcome) {
      case "complete":
        this.#complete(step.runUs);
        this.dependencyWaitUs += step.dependencyWaitUs;
        this.queueWaitUs += step.queueWaitUs;
        this.retryUs += step.retryUs;
        break;
      case "error":
        this.failed += 1;
        this.failedDurationUs += step.runUs;
        break;
      case "cancelled":
        this.cancelled += 1;
        return;
      case "blocked":
        this.blocked += 1;
        return;
    }
    this.attempts += step.attempts;
    this.failedAttempts += step.failedAttempts;
    this.#execute(step.endedAtUs, step.reopened);
  }

  addTask(task: EndedTask, stepCount: number): void {
    switch (task.outcome) {
      case "complete":
        this.#complete(task.durationUs);
        break;
      case "error":
        this.failed += 1;
        this.failedDurationUs += task.durationUs;
        break;
      case "cancelled":
        this.cancelled += 1;
        return;
      case "resolved_manually":
        this.resolved += 1;
        return;
    }
    this.stepCount += stepCount;
    this.failedStepCount += task.failedStepCount;
    this.#execute(task.endedAtUs, task.reopened);
  }

  /** Adds those of a shorter bucket of time. */
  merge(other: Figures): void {
    this.completed += other.completed;
    this.failed += other.failed;
    this.cancelled += other.cancelled;
    this.resolved += other.resolved;
    this.blocked += other.blocked;
    this.reopened += other.reopened;
    this.attempts += other.attempts;
    this.failedAttempts += other.failedAttempts;
    this.durationUs += other.durationUs;
    this.maxDurationUs = Math.max(this.maxDurationUs, other.maxDurationUs);
    this.failedDurationUs += other.failedDurationUs;
    this.dependencyWaitUs += other.dependencyWaitUs;
    this.queueWaitUs += other.queueWaitUs;
    this.retryUs += other.retryUs;
    this.stepCount += other.stepCount;
    this.failedStepCount += other.failedStepCount;
    if (other.lastEndedAtUs !== null) this.#ranUntil(other.lastEndedAtUs);
    for (const [key, count] of other.histogram) this.histogram.set(key, (this.histogram.get(key) ?? 0) + count);
  }

  #complete(us: number): void {
    this.completed += 1;
    this.durationUs += us;
    if (us > this.maxDurationUs) this.maxDurationUs = us;
    const key = bucketKey(us);
    this.histogram.set(key, (this.histogram.get(key) ?? 0) + 1);
  }

  #execute(endedAtUs: number, reopened: boolean): void {
    if (reopened) this.reopened += 1;
    this.#ranUntil(endedAtUs);
  }

  #ranUntil(us: number): void {
    if (this.lastEndedAtUs === null || us > this.lastEndedAtUs) this.lastEndedAtUs = us;
  }
}
