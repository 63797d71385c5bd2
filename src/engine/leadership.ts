import type { Sql } from "../postgres/sql.ts";
import { newId } from "./ids.ts";

/** The right of one process to do a chore for the whole fleet, until its lease ends. */
export interface Leadership {
  readonly service: string;
  readonly owner: string;
  /** Grows with every change of leader: a statement that asks for it does nothing once there is a newer one. */
  readonly fence: number;
}

/** Holds this process' side of the elections, one per chore. */
export class Elections {
  readonly #sql: Sql;
  readonly #owner = newId();
  readonly #leaseMs: number;

  constructor(sql: Sql, leaseMs: number) {
    this.#sql = sql;
    this.#leaseMs = leaseMs;
  }

  /** Takes or renews the leadership of a chore; null while another process holds it. */
  async lead(service: string): Promise<Leadership | null> {
    const [row] = await this.#sql.query<{ fence: number }>({
      name: "lead_service",
      text: `insert into tasker.service_leases as l (service, owner, fence, expires_at)
        values ($1, $2, 1, tasker.clock() + $3 * interval '1 millisecond')
        on conflict (service) do update set owner = excluded.owner, expires_at = excluded.expires_at,
          fence = l.fence + case when l.owner = excluded.owner then 0 else 1 end
        where l.owner = excluded.owner or l.expires_at < tasker.clock()
        returning fence`,
      values: [service, this.#owner, this.#leaseMs],
    });
    return row === undefined ? null : { service, owner: this.#owner, fence: row.fence };
  }

  /** Gives up the leadership of chores, so that the next process need not wait for the lease to end. */
  async resign(services: readonly string[]): Promise<void> {
    await this.#sql.query({
      text: "update tasker.service_leases set expires_at = '-infinity' where owner = $1 and service = any($2)",
      values: [this.#owner, services],
    });
  }
}
