import type { Sql } from "../../src/postgres/sql.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { startBenchApp } from "../support/app.ts";
import { type Span, timedChain } from "./workloads.ts";

/** Latencies of an idle system, in milliseconds, each sorted. */
export interface Latencies {
  /** From a handler's end to the beginning of its dependant's. */
  readonly stepToStepMs: readonly number[];
  /** From the call of submit to the beginning of the first handler. */
  readonly submitToStartMs: readonly number[];
  /** Of a transaction that writes next to nothing: a settlement cannot be faster. */
  readonly commitMs: readonly number[];
}

const warmUpTasks = 5;

/** Runs chains one after the other: nothing else is queued, and one step runs at a time. */
export async function measureLatency(sql: Sql, url: string, tasks: number): Promise<Latencies> {
  const nowMs = (): number => systemClock.monotonicMs();
  const spans = new Map<string, Span[]>();
  const definition = timedChain(nowMs, (taskId, place, span) => {
    const chain = spans.get(taskId) ?? [];
    chain[place] = span;
    spans.set(taskId, chain);
  });
  const app = await startBenchApp({ url, definitions: [definition] });
  const stepToStep: number[] = [];
  const submitToStart: number[] = [];
  try {
    for (let round = -warmUpTasks; round < tasks; round++) {
      const submittedMs = nowMs();
      const [task] = await app.submitter.submit(definition.name, [{ input: null }]);
      if (task === undefined) throw new Error("no task was created");
      await app.outcomes.wait(task.id);
      const chain = spans.get(task.id) ?? [];
      if (round < 0) continue;
      submitToStart.push((chain[0]?.startedMs ?? Number.NaN) - submittedMs);
      for (const [place, { startedMs }] of chain.entries()) {
        const parent = chain[place - 1];
        if (parent !== undefined) stepToStep.push(startedMs - parent.endedMs);
      }
    }
  } finally {
    await app.stop();
  }
  return {
    stepToStepMs: sorted(stepToStep),
    submitToStartMs: sorted(submitToStart),
    commitMs: sorted(await timeCommits(sql, tasks)),
  };
}

async function timeCommits(sql: Sql, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let index = 0; index < count; index++) {
    const startedMs = systemClock.monotonicMs();
    await sql.query({ text: "select pg_logical_emit_message(true, 'tasker bench', '')" });
    times.push(systemClock.monotonicMs() - startedMs);
  }
  return times;
}

function sorted(values: readonly number[]): number[] {
  return values.toSorted((a, b) => a - b);
}
