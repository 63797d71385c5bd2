import type { Clock } from "../runtime/clock.ts";

export interface DeadlinesOptions<Request> {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly onExceeded: (request: Request) => void;
}

/**
 * Requests under way, each with the same time to live. One timer waits for the oldest: a timer for each would cost more
 * than answering from the cache does.
 */
export class Deadlines<Request> {
  readonly #options: DeadlinesOptions<Request>;
  /** When each began; in that order, which is the order of their deadlines too. */
  readonly #begun = new Map<Request, number>();
  #waiting = false;

  constructor(options: DeadlinesOptions<Request>) {
    this.#options = options;
  }

  begin(request: Request): void {
    this.#begun.set(request, this.#options.clock.monotonicMs());
    if (!this.#waiting) this.#wait(this.#options.timeoutMs);
  }

  /** How long the request took, in milliseconds; undefined when its deadline has passed. */
  end(request: Request): number | undefined {
    const begunMs = this.#begun.get(request);
    if (begunMs === undefined) return undefined;
    this.#begun.delete(request);
    return this.#options.clock.monotonicMs() - begunMs;
  }

  #wait(delayMs: number): void {
    this.#waiting = true;
    this.#options.clock.schedule(delayMs, () => this.#expire(), { unref: true });
  }

  #expire(): void {
    this.#waiting = false;
    const { clock, timeoutMs, onExceeded } = this.#options;
    const nowMs = clock.monotonicMs();
    for (const [request, begunMs] of this.#begun) {
      const leftMs = begunMs + timeoutMs - nowMs;
      if (leftMs > 0) {
        this.#wait(leftMs);
        return;
      }
      this.#begun.delete(request);
      onExceeded(request);
    }
  }
}
