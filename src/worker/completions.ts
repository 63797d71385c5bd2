import type { Settled, Settlement } from "../engine/settle.ts";
import { settleSteps } from "../engine/settle.ts";
import type { Sql } from "../postgres/sql.ts";
import { isTransient } from "../postgres/sqlstate.ts";
import { type Clock, sleep } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logging.ts";

/** The most bytes of payload that one batch carries; a batch takes at least one settlement. */
const batchBytesMax = 8 * 1024 * 1024;
const retryDelayMsMax = 2000;

/**
 * Sends the ends of attempts in batches: while one is on its way the next gathers, so that a batch is as large as the
 * load makes it and a lone result waits for nothing.
 *
 * A batch that the database could not take is sent again until it can: results are not lost to an outage. Settling
 * names the attempt, so sending twice records once.
 */
export class Completions {
  readonly #sql: Sql;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #batchMax: number;
  readonly #actor: string;
  readonly #onSettled: (batch: readonly Settlement[], settled: Settled) => void;
  #queue: Settlement[] = [];
  /** How many the batch on its way holds. */
  #sending = 0;
  #flushing: Promise<void> | undefined;
  readonly #abandoned = new AbortController();

  constructor(options: {
    readonly sql: Sql;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly batchMax: number;
    readonly actor: string;
    /** Called after each batch that the database took, and for a result that it refused for good (then as accepted). */
    readonly onSettled: (batch: readonly Settlement[], settled: Settled) => void;
  }) {
    this.#sql = options.sql;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#batchMax = options.batchMax;
    this.#actor = options.actor;
    this.#onSettled = options.onSettled;
  }

  /** Takes a settlement; it is on its way when the present turn of the loop is over, or after the batch before it. */
  add(settlement: Settlement): void {
    this.#queue.push(settlement);
    this.#flushing ??= this.#flush();
  }

  /** Results that are not recorded yet. */
  get waiting(): number {
    return this.#queue.length + this.#sending;
  }

  /** Resolves when everything added so far is settled (or given up by `abandon`). */
  async drained(): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing;
  }

  /** Ends trying again: what is not recorded by now is left to the rescuer. */
  abandon(): void {
    this.#abandoned.abort();
  }

  async #flush(): Promise<void> {
    // Handlers that end in the same turn of the loop share a batch.
    await new Promise(setImmediate);
    while (this.#queue.length > 0 && !this.#abandoned.signal.aborted) {
      const batch = this.#takeBatch();
      this.#sending = batch.length;
      await this.#send(batch);
      this.#sending = 0;
    }
    this.#queue = this.#abandoned.signal.aborted ? [] : this.#queue;
    this.#flushing = undefined;
  }

  #takeBatch(): Settlement[] {
    let bytes = 0;
    const size = this.#queue.findIndex(({ end }, index) => {
      bytes += (end.state === "complete" ? end.output : end.error).length;
      return index > 0 && (index >= this.#batchMax || bytes > batchBytesMax);
    });
    return this.#queue.splice(0, size < 0 ? this.#queue.length : size);
  }

  async #send(batch: Settlement[]): Promise<void> {
    for (let tries = 0; !this.#abandoned.signal.aborted; tries++) {
      let settled: Settled;
      try {
        settled = await settleSteps(this.#sql, batch, this.#actor);
      } catch (error) {
        if (!isTransient(error)) {
          await this.#sendApart(batch, error);
          return;
        }
        if (tries === 0)
          this.#logger.warn({ err: error, steps: batch.length }, "results cannot be recorded; trying again");
        await sleep(this.#clock, Math.min(retryDelayMsMax, 50 * 2 ** Math.min(tries, 10)), this.#abandoned.signal);
        continue;
      }
      this.#tell(batch, settled);
      return;
    }
  }

  /** One bad settlement must not take its neighbours with it. Alone it is left to its lease: the attempt then fails. */
  async #sendApart(batch: Settlement[], error: unknown): Promise<void> {
    if (batch.length > 1) {
      for (const settlement of batch) await this.#send([settlement]);
      return;
    }
    this.#logger.error(
      { err: error, stepId: batch[0]?.claim.stepId },
      "the database refused a result; its lease will run out",
    );
    this.#tell(batch, { accepted: new Set(batch.map((s) => s.claim.stepId)), endedTasks: [], wakeNamespaces: [] });
  }

  /** What is recorded is recorded: an observer that fails must neither send it again nor stop the next batch. */
  #tell(batch: readonly Settlement[], settled: Settled): void {
    this.#sending -= batch.length;
    try {
      this.#onSettled(batch, settled);
    } catch (error) {
      this.#logger.error({ err: error }, "an observer of recorded results failed");
    }
  }
}
