import type { Sql } from "../postgres/sql.ts";
import type { HeldClaim } from "./claim.ts";

/** The latest that an attempt told. */
export interface Heartbeat {
  readonly claim: HeldClaim;
  /** JSON text; undefined: nothing new, what the step's life told before stays. */
  readonly progress: string | undefined;
}

/**
 * Records the latest heartbeats of attempts in one statement. Those of an earlier life, or of an attempt after which another told
 * something, change nothing.
 *
 * @returns how many were recorded
 */
export async function recordHeartbeats(sql: Sql, heartbeats: readonly Heartbeat[]): Promise<number> {
  const [row] = await sql.query<{ recorded: number }>({
    name: "record_heartbeats",
    text: "select tasker.record_heartbeats($1::uuid[], $2::integer[], $3::integer[], $4::text[]) as recorded",
    values: [
      heartbeats.map(({ claim }) => claim.stepId),
      heartbeats.map(({ claim }) => claim.life),
      heartbeats.map(({ claim }) => claim.attempt),
      heartbeats.map(({ progress }) => progress ?? null),
    ],
  });
  return row?.recorded ?? 0;
}

/** What the present life of a step told last, in whichever attempt; null when it told nothing. */
export async function readProgress(sql: Sql, { stepId, life }: Pick<HeldClaim, "stepId" | "life">): Promise<unknown> {
  const [row] = await sql.query<{ progress: unknown }>({
    name: "read_progress",
    text: "select progress from tasker.workflow_step_heartbeats where step_id = $1 and life = $2",
    values: [stepId, life],
  });
  return row?.progress ?? null;
}
