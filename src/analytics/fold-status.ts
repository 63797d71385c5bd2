import type { Sql, Timestamp } from "../postgres/sql.ts";

/** How far the fold has come, and what it waits for. */
export interface FoldStatus {
  /** False when nobody folds, or an open transaction has been making reads slower for long. Answers are exact all the same. */
  readonly healthy: boolean;
  readonly folded_at: Timestamp;
  readonly behind_seconds: number;
  /** Those that the last fold found open: it left their rows, and only theirs, to a later one. */
  readonly open_transactions: number;
  /** The transaction in the cluster that has been open longest of those that may have written; absent when none is seen. */
  readonly oldest_transaction?: {
    readonly seconds: number;
    readonly database: string;
    /** As Postgres calls it: `idle in transaction`, `active`; `prepared` for one without a process. */
    readonly state: string | null;
    readonly pid?: number;
    readonly application?: string | null;
    /** The name that it was prepared under. */
    readonly prepared?: string;
  };
}

/** Longer than transactions of this kind of work take, and than our own pools let them be idle. */
const openSecondsMax = 300;

/**
 * Reads it; one small statement.
 *
 * @param behindSecondsMax when nobody has folded for so long, whoever led is dead and nobody follows
 */
export async function readFoldStatus(sql: Sql, behindSecondsMax: number): Promise<FoldStatus> {
  const [row] = await sql.query<{
    folded_at: Timestamp;
    behind_seconds: number;
    open_transactions: number;
    oldest_seconds: number | null;
    oldest_database: string | null;
    oldest_pid: number | null;
    oldest_prepared: string | null;
    oldest_application: string | null;
    oldest_state: string | null;
  }>({ name: "fold_status", text: "select * from tasker.get_fold_status()" });
  if (row === undefined) throw new Error("tasker.fold_state has no row");
  const { folded_at, behind_seconds, open_transactions, oldest_seconds: seconds, oldest_database: database } = row;
  const isLong = seconds !== null && seconds > openSecondsMax;
  return {
    healthy: behind_seconds <= behindSecondsMax && !isLong,
    folded_at,
    behind_seconds,
    open_transactions,
    ...(seconds === null || database === null
      ? {}
      : {
          oldest_transaction: {
            seconds,
            database,
            state: row.oldest_state,
            ...(row.oldest_prepared === null
              ? { pid: row.oldest_pid ?? 0, application: row.oldest_application }
              : { prepared: row.oldest_prepared }),
          },
        }),
  };
}
