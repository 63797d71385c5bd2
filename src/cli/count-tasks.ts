import type { Sql } from "../postgres/sql.ts";

/** How many tasks there are, ended ones included; costs the same however many these are. */
export async function countTasks(sql: Sql): Promise<number> {
  const text = "select total_tasks::int as total from tasker.get_system_health_counts()";
  const [row] = await sql.query<{ total: number }>({ text });
  return row?.total ?? 0;
}
