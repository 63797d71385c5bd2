import type { Sql } from "../postgres/sql.ts";
import type { Clock } from "../runtime/clock.ts";
import { PeriodicService, type Service, stopAll } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logging.ts";
import { Elections, type Leadership } from "./leadership.ts";

/** Something that one process of the fleet does for all. */
export interface Chore {
  /** Also the name of its leadership. */
  readonly name: string;
  readonly intervalMs: number;
  /** Does a bounded piece of the chore. Returns whether more of it is waiting: it is then called again at once. */
  readonly runOnce: (leadership: Leadership) => Promise<boolean>;
}

/** Runs chores, each in the one process that leads it. Every process of the fleet stands for election. */
export class Maintenance implements Service {
  readonly name = "maintenance";
  readonly #elections: Elections;
  readonly #logger: Logger;
  readonly #services: readonly PeriodicService[];

  constructor(options: {
    readonly sql: Sql;
    readonly chores: readonly Chore[];
    readonly leaderLeaseMs: number;
    readonly clock: Clock;
    readonly logger: Logger;
  }) {
    this.#elections = new Elections(options.sql, options.leaderLeaseMs);
    this.#logger = options.logger;
    this.#services = options.chores.map(
      (chore) =>
        new PeriodicService({
          name: chore.name,
          intervalMs: chore.intervalMs,
          runOnce: (signal) => this.#run(chore, signal),
          clock: options.clock,
          logger: options.logger,
        }),
    );
  }

  async start(): Promise<void> {
    for (const service of this.#services) await service.start();
  }

  async stop(): Promise<void> {
    await stopAll(this.#services, this.#logger);
    try {
      await this.#elections.resign(this.#services.map((service) => service.name));
    } catch (error) {
      // The leases end by themselves.
      this.#logger.debug({ err: error }, "leaderships could not be given up");
    }
  }

  async #run(chore: Chore, signal: AbortSignal): Promise<void> {
    let more = true;
    while (more && !signal.aborted) {
      const leadership = await this.#elections.lead(chore.name);
      more = leadership !== null && (await chore.runOnce(leadership));
    }
  }
}
