import { join } from "node:path";

import { systemClock } from "../../src/runtime/clock.ts";
import { startChild } from "../support/child.ts";
import { nearestRank } from "../support/statistics.ts";
import { claimSome, foldAll, queueTasks, type Side } from "./side.ts";

/** Latencies of claims of one step, in milliseconds. */
export interface ClaimLatency {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** The same number of claims while nobody asks the analytics, and while a process asks in a tight loop. */
export interface ClaimRound {
  readonly quiet: ClaimLatency;
  readonly asked: ClaimLatency;
  /** Answers that were computed meanwhile. */
  readonly answers: number;
}

export async function measureClaiming(side: Side, claims: number, askedFirst: boolean): Promise<ClaimRound> {
  await queueTasks(side, 2 * claims);
  await foldAll(side);
  if (!askedFirst) {
    const quiet = await claimMany(side, claims);
    return { quiet, ...(await claimManyWhileAsked(side, claims)) };
  }
  const asked = await claimManyWhileAsked(side, claims);
  return { quiet: await claimMany(side, claims), ...asked };
}

async function claimManyWhileAsked(side: Side, claims: number): Promise<Pick<ClaimRound, "asked" | "answers">> {
  const asker = await startChild(join(import.meta.dirname, "asker.ts"), { url: side.url }, isAsking);
  try {
    const asked = await claimMany(side, claims);
    return { asked, answers: (await asker.ask(isCount)).answers };
  } finally {
    await asker.stop();
  }
}

/** One claim after the other, as a worker makes them. */
async function claimMany(side: Side, claims: number): Promise<ClaimLatency> {
  const times: number[] = [];
  for (let count = 0; count < claims; count++) {
    const startedMs = systemClock.monotonicMs();
    const claimed = await claimSome(side, side.engine, 1);
    times.push(systemClock.monotonicMs() - startedMs);
    if (claimed.length !== 1) throw new Error("a queued step was not claimed");
  }
  const sorted = times.toSorted((a, b) => a - b);
  return { p50Ms: nearestRank(sorted, 50), p99Ms: nearestRank(sorted, 99) };
}

function isAsking(message: unknown): message is { readonly asking: true } {
  return typeof message === "object" && message !== null && "asking" in message;
}

function isCount(message: unknown): message is { readonly answers: number } {
  return typeof message === "object" && message !== null && "answers" in message && typeof message.answers === "number";
}
