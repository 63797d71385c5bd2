import { CircuitOpenError } from "../postgres/breaker.ts";
import type { Database, Sql, Timestamp } from "../postgres/sql.ts";
import { isTransient, sqlState, sqlStateOf } from "../postgres/sqlstate.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logging.ts";
import type { Metrics } from "../runtime/metrics.ts";

/** A snapshot, and the time that its numbers are counted back from. */
export interface Moment {
  readonly sql: Sql;
  readonly now: Timestamp;
}

/** What the primary says of itself, for the replica to be measured by. */
export interface PrimaryMark {
  readonly now: Timestamp;
  /** A database in all copies of its cluster, and no other. */
  readonly identity: string;
}

/**
 * Why the replica did not answer: it is too far behind; it cancelled the statement to go on replaying; it was too slow; it cannot be
 * reached; it was not asked, having failed before; it is no copy of the primary; it failed otherwise.
 */
export type FallbackReason =
  | "lag"
  | "recovery_conflict"
  | "statement_timeout"
  | "unavailable"
  | "circuit_open"
  | "other_database"
  | "failed";

/** What the readings of the past say; nothing is asked for it. */
export interface ReplicaHealth {
  /** False while the primary answers instead. */
  readonly serving: boolean;
  /** When it was asked last; undefined before it was asked at all, and when it did not say. */
  readonly lagSeconds: number | undefined;
  readonly reason: FallbackReason | undefined;
  /** Since when the primary answers instead. */
  readonly since: string | undefined;
}

export interface AnalyticsReplicaOptions {
  /** A pool of its own behind a breaker of its own. */
  readonly database: Database;
  readonly maxLagSeconds: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<
    Metrics,
    "analyticsReplicaAnswers" | "analyticsReplicaFallbacks" | "analyticsReplicaLagSeconds"
  >;
}

const identity = `(select system_identifier::text from pg_control_system())
    || '/' || (select oid::text from pg_database where datname = current_database())`;

/** Reads the primary's mark. */
export async function readPrimaryMark(sql: Sql): Promise<PrimaryMark> {
  const [mark] = await sql.query<PrimaryMark>({ text: `select tasker.clock() as now, ${identity} as identity` });
  if (mark === undefined) throw new Error("the database told no time");
  return mark;
}

/**
 * A hot standby that reads for the analytics. Each fold writes the primary's time with what it has folded, and a standby replays
 * commits in their order: what it shows of that time, the heartbeat, is a time up to which it has every commit.
 */
export class AnalyticsReplica {
  readonly #options: AnalyticsReplicaOptions;
  #lagSeconds: number | undefined;
  #outage: { readonly reason: FallbackReason; readonly since: string } | undefined;

  constructor(options: AnalyticsReplicaOptions) {
    this.#options = options;
  }

  /**
   * Lets `work` read one snapshot of the replica at its heartbeat.
   *
   * @returns undefined when the primary has to answer instead, whatever the reason; it is counted and, when it is news, logged
   */
  async read<Read>(
    mark: PrimaryMark,
    work: (at: Moment) => Promise<Read>,
  ): Promise<{ readonly read: Read; readonly heartbeat: Timestamp } | undefined> {
    try {
      const outcome = await this.#options.database.transaction(
        async (sql) => {
          const state = await readState(sql, mark);
          const reason = this.#unfitness(state);
          if (reason !== undefined) return { reason };
          const { heartbeat } = state;
          return { reason, answered: { read: await work({ sql, now: heartbeat }), heartbeat } };
        },
        { isolation: "repeatable read", readOnly: true },
      );
      if (outcome.answered !== undefined) this.#answered();
      else this.#fellBack(outcome.reason);
      return outcome.answered;
    } catch (error) {
      // If it is no fault of the replica the primary will fail in the same way, and be heard.
      this.#fellBack(reasonOf(error), error);
      return undefined;
    }
  }

  health(): ReplicaHealth {
    const { reason, since } = this.#outage ?? {};
    return { serving: this.#outage === undefined, lagSeconds: this.#lagSeconds, reason, since };
  }

  #unfitness({ lag_seconds, is_copy }: ReplicaState): FallbackReason | undefined {
    if (!is_copy) {
      this.#lagSeconds = undefined;
      return "other_database";
    }
    // Read after the primary's time, it may show a later one.
    this.#lagSeconds = Math.max(0, lag_seconds);
    this.#options.metrics.analyticsReplicaLagSeconds.set(this.#lagSeconds);
    return lag_seconds > this.#options.maxLagSeconds ? "lag" : undefined;
  }

  #answered(): void {
    this.#options.metrics.analyticsReplicaAnswers.add(1);
    if (this.#outage === undefined) return;
    this.#outage = undefined;
    this.#log("info", {}, "the analytics are read from the replica again");
  }

  #fellBack(reason: FallbackReason, error?: unknown): void {
    const { clock, metrics } = this.#options;
    metrics.analyticsReplicaFallbacks.add(1, { reason });
    if (error !== undefined) this.#lagSeconds = undefined;
    const begins = this.#outage === undefined;
    const since = this.#outage?.since ?? new Date(clock.wallMs()).toISOString();
    this.#outage = { reason, since };
    if (!begins) return;
    const details = { reason, ...(error === undefined ? { lagSeconds: this.#lagSeconds } : { err: error }) };
    this.#log("warn", details, "the analytics are read from the primary instead of the replica");
  }

  /** A host application may bring its own logger; one that throws must not cost an answer. */
  #log(level: "info" | "warn", details: object, message: string): void {
    try {
      this.#options.logger[level](details, message);
    } catch {
      // There is nowhere left to report to.
    }
  }
}

interface ReplicaState {
  readonly heartbeat: Timestamp;
  readonly lag_seconds: number;
  readonly is_copy: boolean;
}

async function readState(sql: Sql, { now, identity: primary }: PrimaryMark): Promise<ReplicaState> {
  // Both times are of the primary's clock: the clocks of two machines are never compared.
  const [state] = await sql.query<ReplicaState>({
    text: `select folded_at as heartbeat, extract(epoch from $1::timestamptz - folded_at)::double precision as lag_seconds,
        ${identity} = $2 as is_copy
      from tasker.fold_state`,
    values: [now, primary],
  });
  if (state === undefined) throw new Error("tasker.fold_state has no row");
  return state;
}

function reasonOf(error: unknown): FallbackReason {
  if (error instanceof CircuitOpenError) return "circuit_open";
  const state = sqlStateOf(error);
  // A transaction that only reads meets these two in no other way.
  if (state === sqlState.serialization_failure || state === sqlState.deadlock_detected) return "recovery_conflict";
  if (state === sqlState.query_canceled) return "statement_timeout";
  return isTransient(error) ? "unavailable" : "failed";
}
