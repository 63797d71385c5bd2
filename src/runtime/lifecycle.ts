import type { Clock } from "./clock.ts";
import type { Logger } from "./logging.ts";

/** A part of the process with a beginning and an end. `start` and `stop` are idempotent; `stop` never rejects. */
export interface Service {
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface PeriodicServiceOptions {
  readonly name: string;
  /** From the end of a run to the beginning of the next. */
  readonly intervalMs: number;
  /** The chore. `signal` aborts when the service stops; a run that is under way should then end soon. */
  readonly runOnce: (signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** An hourly chore that met a short outage must not wait an hour to try again. */
const failurePauseMsMax = 10_000;

/**
 * Runs a chore at its start and then again and again, never two runs at once.
 *
 * An error does not end the loop. It is logged when failing begins and when it is over, not at each run between.
 */
export class PeriodicService implements Service {
  readonly name: string;
  readonly #options: PeriodicServiceOptions;
  #controller: AbortController | undefined;
  #ended: Promise<void> = Promise.resolve();
  #wake: (() => void) | undefined;
  #nudged = false;
  #failing = false;

  constructor(options: PeriodicServiceOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** Begins the loop. Resolves at once: it does not wait for the first run. */
  start(): Promise<void> {
    if (this.#controller === undefined) {
      const controller = new AbortController();
      this.#controller = controller;
      // After a stop that still waits for its last run, the new loop waits too, so that runs never overlap.
      this.#ended = this.#ended.then(() => this.#loop(controller.signal));
    }
    return Promise.resolve();
  }

  /** Ends the loop; resolves when the run under way, if any, is over. */
  async stop(): Promise<void> {
    this.#controller?.abort();
    this.#controller = undefined;
    this.#wake?.();
    await this.#ended;
  }

  /**
   * Runs the chore soon instead of at the end of the interval; once more after the run under way, if there is one.
   * Ignored while the chore fails: a caller that nudges often must not turn an outage into a busy loop.
   */
  nudge(): void {
    if (this.#failing) return;
    this.#nudged = true;
    this.#wake?.();
  }

  async #loop(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#nudged = false;
      await this.#runGuarded(signal);
      if (!signal.aborted && (this.#failing || !this.#nudged)) await this.#pause();
    }
  }

  async #runGuarded(signal: AbortSignal): Promise<void> {
    try {
      await this.#options.runOnce(signal);
      if (this.#failing) this.#log("info", `${this.name} works again`);
      this.#failing = false;
    } catch (error) {
      // A run that was told to end may fail for that very reason.
      if (signal.aborted) return;
      if (!this.#failing) this.#log("warn", `${this.name} failed and will be tried again`, error);
      this.#failing = true;
    }
  }

  #pause(): Promise<void> {
    const { clock, intervalMs } = this.#options;
    return new Promise((resolve) => {
      const wake = (): void => {
        timer.cancel();
        this.#wake = undefined;
        resolve();
      };
      const timer = clock.schedule(this.#failing ? Math.min(intervalMs, failurePauseMsMax) : intervalMs, wake);
      this.#wake = wake;
    });
  }

  /** A host application may bring its own logger; one that throws must not end the loop. */
  #log(level: "info" | "warn", message: string, error?: unknown): void {
    try {
      this.#options.logger[level]({ service: this.name, ...(error === undefined ? {} : { err: error }) }, message);
    } catch {
      // There is nowhere left to report to; the chore itself goes on.
    }
  }
}

/**
 * Stops services one after another, the last first: what was started later may use what was started before.
 * Never rejects; a `stop` that breaks its promise and rejects is logged, and the others are still stopped.
 */
export async function stopAll(services: readonly Service[], logger: Logger): Promise<void> {
  for (const service of services.toReversed()) {
    try {
      await service.stop();
    } catch (error) {
      logger.error({ service: service.name, err: error }, `${service.name} did not stop cleanly`);
    }
  }
}
