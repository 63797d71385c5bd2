import type { Sql } from "../postgres/sql.ts";
import type { Logger } from "../runtime/logging.ts";

/**
 * Notices that the database was moved to another cluster (dump and restore, logical upgrade) and makes facts count from there
 * on: otherwise those of a cluster whose transaction counter stands lower would vanish from the analytics. Of several processes
 * one does it and says so; when this resolves it is done. To be called before the first transition; costs one small query.
 */
export async function adoptCluster(sql: Sql, logger: Logger): Promise<void> {
  if (!(await hasMoved(sql))) return;
  const [done] = await sql.query<{ adopted: boolean; folded: number; generation: number | null }>({
    text: "select adopted, folded, generation from tasker.adopt_cluster()",
  });
  if (done?.adopted !== true) return;
  logger.warn(
    { foldedRows: done.folded, generation: done.generation },
    "the database was moved to another cluster: its facts are folded, new ones count from a new generation on",
  );
}

/** Whether the database is in another cluster than its facts were written in, and nobody has adopted it. */
export async function hasMoved(sql: Sql): Promise<boolean> {
  const [state] = await sql.query<{ moved: boolean }>({
    name: "has_moved",
    text: "select tasker.has_moved() as moved",
  });
  return state?.moved === true;
}
