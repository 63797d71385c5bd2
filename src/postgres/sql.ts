/**
 * One SQL statement with its values, as `pg` takes it. A `name` makes it a server-side prepared statement
 * (hot paths only); one name always goes with one text.
 */
export interface Statement {
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
}

/**
 * The port to the database: a pool, a transaction, or a caller's own client. Rows come decoded:
 * bigint and numeric as numbers (an integer beyond 2^53 is an error, never a wrong number),
 * timestamptz as RFC 3339 UTC strings with six fractional digits (so that they compare as text), json as values.
 */
export interface Sql {
  /** Runs one statement and returns its rows. Rejects with the driver's error (see sqlstate.ts for names of its codes). */
  query<Row extends object>(statement: Statement): Promise<Row[]>;
}

/** RFC 3339 in UTC with microseconds: `2026-11-22T17:04:19.123456Z`. Sorts as text. */
export type Timestamp = string;

export interface TransactionOptions {
  /** Default: the server's, read committed. */
  readonly isolation?: "read committed" | "repeatable read";
  readonly readOnly?: boolean;
}

/** How busy a pool is: `used` connections are out, of `max` configured; `waiting` callers stand in line. */
export interface PoolUsage {
  readonly max: number;
  readonly used: number;
  readonly waiting: number;
}

/** A pool of connections. A plain `query` runs in a transaction of its own. */
export interface Database extends Sql {
  /** Runs `work` in one transaction on one connection; commits when it resolves, rolls back when it rejects. */
  transaction<T>(work: (sql: Sql) => Promise<T>, options?: TransactionOptions): Promise<T>;
  usage(): PoolUsage;
  /** Waits for connections in use, then closes all. Idempotent. */
  close(): Promise<void>;
}
