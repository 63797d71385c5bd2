import type { Sql } from "../../src/postgres/sql.ts";
import type { Clock } from "../../src/runtime/clock.ts";
import { until } from "./waiting.ts";

const deadlineMs = 120_000;

/** Resolves when the leader has folded everything that is committed now. */
export async function allFolded(sql: Sql, clock: Clock): Promise<void> {
  const [now] = await sql.query<{ tick: number }>({ text: "select tasker.tick() as tick" });
  const isFolded = async (): Promise<boolean> => {
    const [state] = await sql.query<{ watermark: number }>({ text: "select watermark from tasker.fold_state" });
    return state !== undefined && now !== undefined && state.watermark > now.tick;
  };
  await until(clock, deadlineMs, isFolded, "folding has come to a halt");
}
