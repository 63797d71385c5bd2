import pg from "pg";

import { CheckedOutConnection } from "./connection.ts";
import { hintAtPooler } from "./pooler.ts";
import { connectionOf } from "./session.ts";
import type { Database, PoolUsage, Sql, Statement, TransactionOptions } from "./sql.ts";
import { runTransaction } from "./transaction.ts";

/** How long a connection that nobody needs stays open, if nothing else is said. */
const idleConnectionMs = 30_000;

/** A server that has not even cancelled a statement so long after its timeout is gone without a word. */
const silenceMs = 1_000;

export interface DatabaseOptions {
  /** `postgres://user:password@host:port/database`, with the parameters that `pg` knows. */
  readonly connectionString: string;
  /** Connections at most. */
  readonly max: number;
  /** How `pg_stat_activity` shows the connections, unless the connection string says otherwise. */
  readonly applicationName: string;
  /**
   * The server cancels a statement that runs longer (SQLSTATE query_canceled); one that is silent for a second more has lost
   * the connection. Default: as the server is set.
   */
  readonly statementTimeoutMs?: number;
  /** The server ends a session that holds a transaction open for so long without a statement. 0: as the server is set. */
  readonly idleInTransactionTimeoutMs: number;
  /** How long a connection that nobody needs stays open. Default: 30 s. */
  readonly idleConnectionMs?: number;
  /**
   * The connection string leads through a pooler that gives out connections for a transaction: nothing may be said in the
   * startup message nor stay in a session, so that both time limits are set in each transaction. Default: false.
   */
  readonly transactionPooling?: boolean | undefined;
  /** Prepare named statements. Default: true. */
  readonly preparedStatements?: boolean | undefined;
  /** Limit of the wait for a connection, be it a new one or a turn in line. */
  readonly connectTimeoutMs: number;
  /** Closing ends what is under way instead of waiting for it: its callers are gone. Default: false. */
  readonly cutsAtClose?: boolean;
  /** Told of each idle connection that was lost (the pool has discarded it already). What it throws is ignored. */
  readonly onError: (error: Error) => void;
}

/** Opens a pool; connections are made when they are first needed, so that this neither waits nor fails. */
export function openDatabase(options: DatabaseOptions): Database {
  return new PooledDatabase(options);
}

class PooledDatabase implements Database {
  readonly #pool: pg.Pool;
  readonly #max: number;
  readonly #cutsAtClose: boolean;
  readonly #prepares: boolean;
  /** What each transaction begins with; undefined when it is the session's. */
  readonly #localSettings: readonly string[] | undefined;
  /** A statement by itself would have no time limit. */
  readonly #wraps: boolean;
  readonly #out = new Set<CheckedOutConnection>();
  #running = 0;
  #whenIdle: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: DatabaseOptions) {
    this.#max = options.max;
    this.#cutsAtClose = options.cutsAtClose ?? false;
    this.#prepares = options.preparedStatements ?? true;
    const isPooled = options.transactionPooling ?? false;
    this.#localSettings = isPooled ? localSettings(options) : undefined;
    this.#wraps = isPooled && options.statementTimeoutMs !== undefined;
    this.#pool = new pg.Pool({
      ...(isPooled ? { connectionString: options.connectionString } : sessionOf(options)),
      max: options.max,
      application_name: options.applicationName,
      query_timeout: options.statementTimeoutMs === undefined ? undefined : options.statementTimeoutMs + silenceMs,
      connectionTimeoutMillis: options.connectTimeoutMs,
      idleTimeoutMillis: options.idleConnectionMs ?? idleConnectionMs,
      keepAlive: true,
    });
    this.#pool.on("error", (error) => {
      // The sockets of a closed pool still take a moment to end, and how they do is of no interest.
      if (this.#closing !== undefined) return;
      // pg-pool hangs the whole client on the error, and a logger would print it.
      Reflect.deleteProperty(error, "client");
      try {
        options.onError(error);
      } catch {
        // An observer must not end the process: this runs in an event of the socket.
      }
    });
  }

  query<Row extends object>(statement: Statement): Promise<Row[]> {
    if (this.#wraps) return this.transaction((sql) => sql.query<Row>(statement));
    // Not pool.query: that discards the connection after every error, a unique violation included.
    return this.#withConnection((connection) => connection.query<Row>(statement));
  }

  transaction<T>(work: (sql: Sql) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    return this.#withConnection((connection) => runTransaction(connection, work, options, this.#localSettings));
  }

  usage(): PoolUsage {
    return {
      max: this.#max,
      used: this.#pool.totalCount - this.#pool.idleCount,
      waiting: this.#pool.waitingCount,
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#drainAndEnd();
    return this.#closing;
  }

  async #drainAndEnd(): Promise<void> {
    if (this.#cutsAtClose) for (const connection of this.#out) connection.cut();
    // pg-pool forgets the callers that stand in line when it is ended, so they get their turn first.
    if (this.#running > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    await this.#pool.end();
  }

  async #connect(): Promise<CheckedOutConnection> {
    try {
      return new CheckedOutConnection(await this.#pool.connect(), this.#prepares);
    } catch (error) {
      throw hintAtPooler(error);
    }
  }

  async #withConnection<T>(work: (connection: CheckedOutConnection) => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) throw closed();
    this.#running += 1;
    try {
      const connection = await this.#connect();
      this.#out.add(connection);
      try {
        if (this.#cutsAtClose && this.#closing !== undefined) throw closed();
        return await work(connection);
      } finally {
        this.#out.delete(connection);
        connection.release();
      }
    } finally {
      this.#running -= 1;
      if (this.#running === 0) this.#whenIdle?.();
    }
  }
}

/** What travels in the startup message. */
function sessionOf(options: DatabaseOptions): pg.PoolConfig {
  return {
    ...connectionOf(options.connectionString),
    statement_timeout: options.statementTimeoutMs,
    idle_in_transaction_session_timeout: options.idleInTransactionTimeoutMs,
  };
}

/** The same for one transaction. */
function localSettings({ statementTimeoutMs, idleInTransactionTimeoutMs }: DatabaseOptions): string[] {
  const limits = {
    statement_timeout: statementTimeoutMs ?? 0,
    idle_in_transaction_session_timeout: idleInTransactionTimeoutMs,
  };
  return Object.entries(limits).flatMap(([name, ms]) => (ms === 0 ? [] : [`set local ${name} = ${ms}`]));
}

function closed(): Error {
  return new Error("the database is closed: nothing can be asked of it any more");
}
