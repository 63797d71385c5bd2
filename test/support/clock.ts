import type { Clock, Timer } from "../../src/runtime/clock.ts";

interface Due {
  readonly atMs: number;
  readonly callback: () => void;
}

/** A clock that stands still until a test moves it. The wall clock and the monotonic one move together. */
export class ManualClock implements Clock {
  readonly #startWallMs: number;
  #nowMs = 0;
  /** In the order of scheduling, which decides between timers that are due at the same time. */
  readonly #timers = new Set<Due>();

  /** `startWallMs` is what the wall clock shows at first; the monotonic clock begins at 0. */
  constructor(startWallMs: number = Date.UTC(2026, 0, 1)) {
    this.#startWallMs = startWallMs;
  }

  wallMs(): number {
    return this.#startWallMs + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  schedule(delayMs: number, callback: () => void): Timer {
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), callback };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /** In how many milliseconds each timer that waits is due. */
  get delays(): number[] {
    return Array.from(this.#timers, ({ atMs }) => atMs - this.#nowMs);
  }

  /**
   * Moves the time on by `ms`: runs the timers that fall due in order, each at its own time, and those that they
   * schedule in turn. What waits for them gets to run before the next one does.
   */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await settle();
    for (let due = this.#nextUntil(endMs); due !== undefined; due = this.#nextUntil(endMs)) {
      this.#timers.delete(due);
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      due.callback();
      await settle();
    }
    this.#nowMs = endMs;
  }

  #nextUntil(endMs: number): Due | undefined {
    let next: Due | undefined;
    for (const timer of this.#timers) {
      if (timer.atMs <= endMs && (next === undefined || timer.atMs < next.atMs)) next = timer;
    }
    return next;
  }
}

/** Lets everything run that waits for promises only: the event loop turns once, after all microtasks. */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
