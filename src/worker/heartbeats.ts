import type { HeldClaim } from "../engine/claim.ts";
import { type Heartbeat, recordHeartbeats } from "../engine/heartbeats.ts";
import type { Sql } from "../postgres/sql.ts";
import type { Clock } from "../runtime/clock.ts";
import { PeriodicService, type Service } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logging.ts";

/** How many heartbeats one statement carries: at most 64 KiB each. */
const batchMax = 100;

/**
 * Writes the heartbeats of a worker's handlers: however often they are told, the latest of each attempt, all in one statement per
 * interval. What the database could not take is kept and goes with the next ones.
 */
export class Heartbeats implements Service {
  readonly name = "heartbeats";
  readonly #sql: Sql;
  readonly #writing: PeriodicService;
  readonly #pending = new Map<string, Heartbeat>();

  constructor(options: {
    readonly sql: Sql;
    readonly intervalMs: number;
    readonly clock: Clock;
    readonly logger: Logger;
  }) {
    this.#sql = options.sql;
    this.#writing = new PeriodicService({
      name: "heartbeats",
      intervalMs: options.intervalMs,
      runOnce: () => this.flush(),
      clock: options.clock,
      logger: options.logger,
    });
  }

  async start(): Promise<void> {
    await this.#writing.start();
  }

  async stop(): Promise<void> {
    await this.#writing.stop();
  }

  /** Notes that an attempt is alive, and how far it is (JSON text). */
  add(claim: HeldClaim, progress: string | undefined): void {
    const key = keyOf(claim);
    this.#pending.set(key, { claim, progress: progress ?? this.#pending.get(key)?.progress });
  }

  /** The attempt is over: what it told last is written now, so that its next attempt finds it. */
  ended(claim: HeldClaim): void {
    if (this.#pending.has(keyOf(claim))) this.#writing.nudge();
  }

  /** Writes what is pending. Rejects, and keeps what was not written, when the database cannot take it. */
  async flush(): Promise<void> {
    while (this.#pending.size > 0) {
      const batch = [...this.#pending].slice(0, batchMax);
      for (const [key] of batch) this.#pending.delete(key);
      try {
        await recordHeartbeats(
          this.#sql,
          batch.map(([, heartbeat]) => heartbeat),
        );
      } catch (error) {
        // What was told meanwhile is newer.
        for (const [, { claim, progress }] of batch)
          this.add(claim, this.#pending.get(keyOf(claim))?.progress ?? progress);
        throw error;
      }
    }
  }
}

function keyOf({ stepId, life, attempt }: HeldClaim): string {
  return `${stepId}:${life}:${attempt}`;
}
