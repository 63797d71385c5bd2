import type { Sql } from "../postgres/sql.ts";
import type { Clock, Timer } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logging.ts";
import { readOutcomes, type TaskOutcome } from "./read-task.ts";

const pollMsMin = 50;
const pollMsMax = 1000;

interface Waiter {
  readonly resolve: (outcome: TaskOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Waits for tasks to end: one statement asks for all that are waited for. Tasks that end in this process are asked for at
 * once (`ended`), others when polled; an outage of the database only delays the answer.
 */
export class Outcomes {
  readonly #sql: Sql;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #waiters = new Map<string, Waiter[]>();
  #timer: Timer | undefined;
  #delayMs = pollMsMin;
  #asking = false;
  #askAgain = false;
  #closed = false;

  constructor(sql: Sql, clock: Clock, logger: Logger) {
    this.#sql = sql;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Resolves when the task has ended (`error` included). Rejects when `close` is called first. */
  wait(taskId: string): Promise<TaskOutcome> {
    if (this.#closed) return Promise.reject(new Error("Tasker is stopped"));
    return new Promise((resolve, reject) => {
      this.#waiters.set(taskId, [...(this.#waiters.get(taskId) ?? []), { resolve, reject }]);
      this.#delayMs = pollMsMin;
      void this.#ask();
    });
  }

  /** Tells that tasks ended in this process. */
  ended(taskIds: readonly string[]): void {
    if (taskIds.some((id) => this.#waiters.has(id))) void this.#ask();
  }

  /** Ends all waiting. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    for (const waiters of this.#waiters.values()) {
      for (const waiter of waiters) waiter.reject(new Error("Tasker was stopped before the task ended"));
    }
    this.#waiters.clear();
  }

  async #ask(): Promise<void> {
    if (this.#asking) {
      this.#askAgain = true;
      return;
    }
    this.#asking = true;
    this.#timer?.cancel();
    do {
      this.#askAgain = false;
      try {
        for (const outcome of await readOutcomes(this.#sql, [...this.#waiters.keys()])) this.#deliver(outcome);
      } catch (error) {
        this.#logger.debug({ err: error }, "outcomes cannot be read; asking again");
      }
    } while (this.#askAgain);
    this.#asking = false;
    if (this.#waiters.size === 0 || this.#closed) return;
    this.#timer = this.#clock.schedule(this.#delayMs, () => void this.#ask());
    this.#delayMs = Math.min(pollMsMax, this.#delayMs * 2);
  }

  #deliver(outcome: TaskOutcome): void {
    for (const waiter of this.#waiters.get(outcome.id) ?? []) waiter.resolve(outcome);
    this.#waiters.delete(outcome.id);
  }
}
