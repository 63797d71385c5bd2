export interface BulkheadOptions {
  /** Pieces of work that run at once. */
  readonly runningMax: number;
  /** Pieces of work that wait for their turn; one more is refused. */
  readonly waitingMax: number;
  readonly overloaded: () => Error;
}

/** Lets a few pieces of work run at once and a bounded number wait, first come, first served. */
export class Bulkhead {
  readonly #options: BulkheadOptions;
  readonly #waiting = new Set<() => void>();
  #running = 0;

  constructor(options: BulkheadOptions) {
    this.#options = options;
  }

  /**
   * Runs `work` when it is its turn. Rejects with `overloaded()` when too many wait already, and with the signal's
   * reason when it aborts before the turn comes. Work that has begun keeps its place until it ends, aborted or not:
   * what still burdens the source must count.
   */
  async run<Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    await this.#enter(signal);
    try {
      signal.throwIfAborted();
      return await work();
    } finally {
      this.#leave();
    }
  }

  async #enter(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#running < this.#options.runningMax) {
      this.#running += 1;
    } else {
      if (this.#waiting.size >= this.#options.waitingMax) throw this.#options.overloaded();
      const admitted = await this.#turn(signal);
      if (!admitted) signal.throwIfAborted();
    }
  }

  /** Resolves to true when a place has been handed over, to false when the signal aborted first. */
  #turn(signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const admit = (): void => {
        signal.removeEventListener("abort", giveUp);
        resolve(true);
      };
      const giveUp = (): void => {
        this.#waiting.delete(admit);
        resolve(false);
      };
      this.#waiting.add(admit);
      signal.addEventListener("abort", giveUp, { once: true });
    });
  }

  /** Hands the place to the one that has waited longest, so that nobody who comes later can take it in between. */
  #leave(): void {
    const [admit] = this.#waiting;
    if (admit === undefined) {
      this.#running -= 1;
    } else {
      this.#waiting.delete(admit);
      admit();
    }
  }
}
