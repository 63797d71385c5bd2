import { existsSync, readFileSync } from "node:fs";

import type { Sql } from "../../src/postgres/sql.ts";

/** What a server has spent since something. */
export interface ServerCost {
  /** CPU time of the sessions of an application in this database, in microseconds; null where /proc does not show it. */
  readonly cpuUs: Readonly<Record<string, number | null>>;
  readonly walBytes: number;
}

/** Reads what the sessions of `applications` in the database of `sql` and the write-ahead log of the server cost so far. */
export async function serverCost(sql: Sql, applications: readonly string[]): Promise<ServerCost> {
  const cpuUs: Record<string, number | null> = {};
  for (const application of applications) {
    const pids = await sql.query<{ pid: number }>({
      text: "select pid from pg_stat_activity where datname = current_database() and application_name = $1 order by pid",
      values: [application],
    });
    cpuUs[application] = pids.reduce<number | null>((total, { pid }) => {
      const us = cpuOf(pid);
      return total === null || us === null ? null : total + us;
    }, 0);
  }
  const [wal] = await sql.query<{ bytes: number }>({
    text: "select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint as bytes",
  });
  if (wal === undefined) throw new Error("the database gave no row");
  return { cpuUs, walBytes: wal.bytes };
}

/** Microseconds on a CPU, of a process of Postgres on this machine. The kernel counts them in nanoseconds. */
function cpuOf(pid: number): number | null {
  // The server may be on another machine, where the number is somebody else's.
  if (!existsSync(`/proc/${pid}/schedstat`) || !readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("postgres"))
    return null;
  return Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]) / 1000;
}
