import { type Claim, renewLeases } from "../engine/claim.ts";
import { announceWorker, withdrawWorker } from "../engine/live-workers.ts";
import type { Sql } from "../postgres/sql.ts";
import type { Clock } from "../runtime/clock.ts";
import { PeriodicService, type Service } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logging.ts";
import { LeaseLostError } from "./handler-error.ts";

/** An attempt under way. */
export interface Running {
  readonly claim: Claim;
  readonly controller: AbortController;
  /** Resolves when the handler is over. */
  readonly done: Promise<void>;
}

interface LeaseRenewalOptions {
  readonly sql: Sql;
  readonly workerId: string;
  readonly leaseMs: number;
  readonly intervalMs: number;
  /** By attempt; read at each renewal. */
  readonly running: ReadonlyMap<string, Running>;
  /** The kinds of steps that the worker has handlers for; read at each renewal. */
  readonly namedStepIds: () => readonly number[];
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Renews the leases of a worker's running attempts in one statement, aborts the handlers of those that were lost, and announces the
 * worker among those that live.
 */
export class LeaseRenewal implements Service {
  readonly name = "lease renewal";
  readonly #options: LeaseRenewalOptions;
  readonly #renewing: PeriodicService;
  #renewedMs = 0;

  constructor(options: LeaseRenewalOptions) {
    this.#options = options;
    this.#renewing = new PeriodicService({ ...options, name: this.name, runOnce: () => this.#run() });
  }

  async start(): Promise<void> {
    await this.#renewing.start();
  }

  async stop(): Promise<void> {
    await this.#renewing.stop();
    try {
      await withdrawWorker(this.#options.sql, this.#options.workerId);
    } catch (error) {
      this.#options.logger.debug(
        { err: error },
        "the worker could not be withdrawn; it counts as alive until its lease ends",
      );
    }
  }

  /** The first claims of a worker that had none: their leases are as fresh as renewed ones. */
  begin(): void {
    this.#renewedMs = this.#options.clock.monotonicMs();
  }

  async #run(): Promise<void> {
    const { sql, workerId, leaseMs, namedStepIds } = this.#options;
    await this.#renew();
    await announceWorker(sql, { id: workerId, namedStepIds: namedStepIds(), leaseMs });
  }

  async #renew(): Promise<void> {
    const { sql, workerId, clock, leaseMs, running } = this.#options;
    const held = [...running.values()];
    if (held.length === 0) return;
    const askedMs = clock.monotonicMs();
    try {
      const claims = held.map(({ claim }) => claim);
      const still = await renewLeases(sql, workerId, claims, leaseMs);
      this.#renewedMs = askedMs;
      for (const { claim, controller } of held) {
        if (!still.has(claim.stepId)) controller.abort(new LeaseLostError("the lease was lost"));
      }
    } catch (error) {
      // Nobody knows whether the leases hold; past their end another worker may be running the steps.
      if (clock.monotonicMs() - this.#renewedMs > leaseMs) {
        for (const { controller } of held)
          controller.abort(new LeaseLostError("the lease could not be renewed in time"));
      }
      throw error;
    }
  }
}
