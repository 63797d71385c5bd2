import type { Sql } from "../postgres/sql.ts";

/** Tells that a worker lives, and of which kinds of steps it has handlers; it holds for `leaseMs`. */
export async function announceWorker(
  sql: Sql,
  worker: { readonly id: string; readonly namedStepIds: readonly number[]; readonly leaseMs: number },
): Promise<void> {
  await sql.query({
    name: "announce_worker",
    text: "select tasker.announce_worker($1, $2::integer[], $3)",
    values: [worker.id, worker.namedStepIds, worker.leaseMs],
  });
}

/** Tells that a worker claims nothing any more. */
export async function withdrawWorker(sql: Sql, id: string): Promise<void> {
  await sql.query({
    text: "update tasker.live_workers set expires_at = least(expires_at, tasker.clock()) where id = $1",
    values: [id],
  });
}
