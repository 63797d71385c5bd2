import { readFileSync } from "node:fs";

import type { Sql } from "../../src/postgres/sql.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { median } from "../support/statistics.ts";

/** What a call costs, in milliseconds. */
export interface Cost {
  /** As the caller waits. */
  readonly wallMs: number;
  /** The processor's time of the server's process: what is left of a wall time on a machine that is not quiet. NaN where the server's host does not tell. */
  readonly cpuMs: number;
}

/** What a call costs that runs on the one connection of a pool. */
export async function measure(sql: Sql, call: () => Promise<unknown>): Promise<Cost> {
  // Each time: a pool closes a connection that nobody has needed for a while.
  const [row] = await sql.query<{ pid: number }>({ text: "select pg_backend_pid() as pid" });
  const cpuFrom = cpuMsOf(row?.pid ?? 0);
  const startedMs = systemClock.monotonicMs();
  await call();
  return { wallMs: systemClock.monotonicMs() - startedMs, cpuMs: cpuMsOf(row?.pid ?? 0) - cpuFrom };
}

/** The first field of schedstat: nanoseconds on a processor (Linux, "Scheduler Statistics"). */
function cpuMsOf(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ", 1)[0]) / 1e6;
  } catch {
    // Another system, or a server on another host.
    return Number.NaN;
  }
}

export function medianCost(costs: readonly Cost[]): Cost {
  return { wallMs: median(costs.map(({ wallMs }) => wallMs)), cpuMs: median(costs.map(({ cpuMs }) => cpuMs)) };
}

/** How many times as much, by the processor's time where it is known. */
export function ratio(a: Cost, b: Cost): number {
  return Number.isNaN(a.cpuMs + b.cpuMs) ? a.wallMs / b.wallMs : a.cpuMs / b.cpuMs;
}

/** `12.3 (8.1)`: as the caller waits, and the server's processor time. */
export function costText({ wallMs, cpuMs }: Cost): string {
  return Number.isNaN(cpuMs) ? wallMs.toFixed(1) : `${wallMs.toFixed(1)} (${cpuMs.toFixed(1)})`;
}
