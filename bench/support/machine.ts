import { availableParallelism, loadavg } from "node:os";

import type { Sql } from "../../src/postgres/sql.ts";

/** What figures depend on, in one line: the machine, how busy it is before the run, and what Postgres promises. */
export async function describeSetting(sql: Sql): Promise<string> {
  const [row] = await sql.query<{ version: string; fsync: string; commit: string; buffers: string }>({
    text: `select current_setting('server_version') as version, current_setting('fsync') as fsync,
      current_setting('synchronous_commit') as commit, current_setting('shared_buffers') as buffers`,
  });
  const postgres = `Postgres ${row?.version} (fsync ${row?.fsync}, synchronous_commit ${row?.commit}, shared_buffers ${row?.buffers})`;
  return `${describeMachine()}, ${postgres}`;
}

/** The machine in words, with its load average of the last minute: above a few tenths before a run, it is not quiet. */
export function describeMachine(): string {
  const [load = 0] = loadavg();
  return `${availableParallelism()} cores, load ${load.toFixed(1)}, Node ${process.version}`;
}
