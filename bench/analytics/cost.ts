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

/** Measures calls that run on one connection. */
export class CostMeter {
  readonly #pid: number;

  private constructor(pid: number) {
    this.#pid = pid;
  }

  /** @param sql a pool of one connection, on which the calls run */
  static async of(sql: Sql): Promise<CostMeter> {
    const [row] = await sql.query<{ pid: number }>({ text: "select pg_backend_pid() as pid" });
    return new CostMeter(row?.pid ?? 0);
  }

  async measure(call: () => Promise<unknown>): Promise<Cost> {
    const cpuFrom = this.#cpuMs();
    const startedMs = systemClock.monotonicMs();
    await call();
    return { wallMs: systemClock.monotonicMs() - startedMs, cpuMs: this.#cpuMs() - cpuFrom };
  }

  /** The first field of schedstat: nanoseconds on a processor (Linux, "Scheduler Statistics"). */
  #cpuMs(): number {
    try {
      return Number(readFileSync(`/proc/${this.#pid}/schedstat`, "utf8").split(" ", 1)[0]) / 1e6;
    } catch {
      // Another system, or a server on another host.
      return Number.NaN;
    }
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
