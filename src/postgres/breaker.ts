import { circuitBreaker, CircuitState, ConsecutiveBreaker, handleWhen } from "cockatiel";

import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logging.ts";
import type { Database, PoolUsage, Sql, Statement, TransactionOptions } from "./sql.ts";
import { isTransient, sqlState, sqlStateOf } from "./sqlstate.ts";

/** So many failures without a success between them open the breaker. */
const failuresMax = 5;

/** How long an open breaker refuses before it lets one call try. */
const openMs = 2_000;

export interface BreakerOptions {
  /** Names the pool in errors and in the log. */
  readonly name: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The database has failed again and again and was not asked this time. */
export class CircuitOpenError extends Error {
  override readonly name = "CircuitOpenError";
  readonly code = "circuit_breaker_open";
  /** When it is worth asking again, in milliseconds from now. */
  readonly retryAfterMs: number;

  constructor(pool: string, retryAfterMs: number) {
    super(`The ${pool} database keeps failing and is not asked for another ${Math.ceil(retryAfterMs)} ms`);
    this.retryAfterMs = retryAfterMs;
  }
}

/**
 * The same database behind a circuit breaker: while it keeps failing, callers are told at once instead of waiting for one
 * timeout each. Closed, it counts; after {@link failuresMax} failures in a row it opens; {@link openMs} later one call may try,
 * and its outcome closes it or opens it again.
 *
 * Only an outage counts (a lost or refused connection, a server that starts or stops, a statement timeout). What a caller
 * did wrong says nothing of the database, nor does a transaction that lost against another one.
 *
 * `query` and `transaction` reject with {@link CircuitOpenError} while it is open.
 */
export function breakerDatabase(database: Database, options: BreakerOptions): Database {
  return new BreakerDatabase(database, options);
}

class BreakerDatabase implements Database {
  readonly #database: Database;
  readonly #options: BreakerOptions;
  // cockatiel would measure by the wall clock, which may jump. It lets a call try at any time; our own clock says when.
  readonly #policy = circuitBreaker(handleWhen(isOutage), {
    halfOpenAfter: Number.NEGATIVE_INFINITY,
    breaker: new ConsecutiveBreaker(failuresMax),
  });
  #openedMs = 0;
  #outage = false;

  constructor(database: Database, options: BreakerOptions) {
    this.#database = database;
    this.#options = options;
    this.#policy.onBreak((reason) => this.#opened("error" in reason ? reason.error : undefined));
    this.#policy.onReset(() => this.#closed());
  }

  query<Row extends object>(statement: Statement): Promise<Row[]> {
    return this.#guarded(() => this.#database.query<Row>(statement));
  }

  transaction<T>(work: (sql: Sql) => Promise<T>, options?: TransactionOptions): Promise<T> {
    return this.#guarded(() => this.#database.transaction(work, options));
  }

  usage(): PoolUsage {
    return this.#database.usage();
  }

  close(): Promise<void> {
    return this.#database.close();
  }

  async #guarded<T>(ask: () => Promise<T>): Promise<T> {
    const { state } = this.#policy;
    if (state !== CircuitState.Closed) {
      const waitMs = this.#openedMs + openMs - this.#options.clock.monotonicMs();
      // While one call tries, the others are refused: cockatiel would have them wait for it, however long it takes.
      if (waitMs > 0 || state === CircuitState.HalfOpen)
        throw new CircuitOpenError(this.#options.name, Math.max(waitMs, 0));
    }
    return this.#policy.execute(ask);
  }

  /** Also called when the call that tried has failed; the log hears of the outage once. */
  #opened(error: unknown): void {
    this.#openedMs = this.#options.clock.monotonicMs();
    if (this.#outage) return;
    this.#outage = true;
    this.#log("warn", { err: error }, "the database keeps failing; requests are refused until it answers again");
  }

  #closed(): void {
    this.#outage = false;
    this.#log("info", {}, "the database answers again");
  }

  /** Called from within a query: a logger that throws must not change what becomes of it. */
  #log(level: "info" | "warn", details: object, message: string): void {
    try {
      this.#options.logger[level]({ pool: this.#options.name, ...details }, message);
    } catch {
      // There is nowhere left to report to.
    }
  }
}

const contention: ReadonlySet<string> = new Set([
  sqlState.serialization_failure,
  sqlState.deadlock_detected,
  sqlState.lock_not_available,
]);

function isOutage(error: unknown): boolean {
  const state = sqlStateOf(error);
  if (state === sqlState.query_canceled) return true;
  return isTransient(error) && (state === undefined || !contention.has(state));
}
