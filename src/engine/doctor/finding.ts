import type { Sql } from "../../postgres/sql.ts";

/** Something that is not as it should be, in words for who operates the database. */
export interface Finding {
  /** The check that found it. */
  readonly check: string;
  /** What it is about: a task, a table, a chore. */
  readonly subject: string;
  readonly problem: string;
  /** What to do, a command where there is one. */
  readonly mend: string;
}

/** How much is looked at. */
export interface Bounds {
  /** So many of the newest tasks are looked at, with their steps and edges. */
  readonly tasks: number;
}

/** Looks for one kind of problem: a read of its own, in one statement, so that it sees one moment. */
export interface Check {
  readonly name: string;
  readonly run: (sql: Sql, bounds: Bounds) => Promise<Finding[]>;
}

/** So many findings of one check are told at most; who has more of them has one problem. */
export const findingsMax = 100;
