import type { Sql } from "../../src/postgres/sql.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import type { Fleet } from "./fleet.ts";
import type { Run } from "./protocol.ts";

/** Latencies of an idle system, in milliseconds, each sorted. */
export interface Latencies {
  /** From a handler's end to the beginning of its dependant's. */
  readonly stepToStepMs: readonly number[];
  /** From the call that enqueues a task to the beginning of its first handler. */
  readonly enqueueToStartMs: readonly number[];
}

const warmUpChains = 2;

/** Runs chains in one process, one after the other, until there are so many or it took `enoughMs`. */
export async function measureLatency(fleet: Fleet, chains: number, enoughMs: number): Promise<Latencies> {
  await fleet.ask({ do: "start", workload: { kind: "chain" } }, 1);
  await fleet.ask({ do: "chains", chains: warmUpChains, enoughMs }, 1);
  const [answer] = await fleet.ask({ do: "chains", chains, enoughMs }, 1);
  await fleet.ask({ do: "stop" }, 1);
  const byTask = new Map<string, Run[]>();
  for (const run of answer?.runs ?? []) byTask.set(run[0], [...(byTask.get(run[0]) ?? []), run]);
  return latenciesOf([...byTask.values()], answer?.enqueuedMs ?? []);
}

/** Chains and the times at which they were enqueued are in the same order. */
function latenciesOf(chains: readonly (readonly Run[])[], enqueuedMs: readonly number[]): Latencies {
  const stepToStep: number[] = [];
  const enqueueToStart: number[] = [];
  for (const [index, runs] of chains.entries()) {
    const times = runs.toSorted(([, a], [, b]) => a - b).map(([, , atMs]) => atMs);
    for (const [place, atMs] of times.entries()) {
      const before = place === 0 ? enqueuedMs[index] : times[place - 1];
      if (before === undefined) throw new Error("a chain ran that was not enqueued");
      (place === 0 ? enqueueToStart : stepToStep).push(atMs - before);
    }
  }
  const sorted = (values: readonly number[]): number[] => values.toSorted((a, b) => a - b);
  return { stepToStepMs: sorted(stepToStep), enqueueToStartMs: sorted(enqueueToStart) };
}

/** Of transactions that write next to nothing: a settlement cannot be faster. Sorted. */
export async function timeCommits(sql: Sql, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let index = 0; index < count; index++) {
    const startedMs = systemClock.monotonicMs();
    await sql.query({ text: "select pg_logical_emit_message(true, 'tasker bench', '')" });
    times.push(systemClock.monotonicMs() - startedMs);
  }
  return times.toSorted((a, b) => a - b);
}
