/** Traces as tasks of workers that are processes of their own: imported by `tasker worker --tasks`, and by the tests themselves. */
import { defaultRetryPolicy } from "../../src/workflow/retry.ts";
import { type AnyTaskDefinition, type StepHandler, TaskDefinition } from "../../src/workflow/define-task.ts";
import { definitionOf, scaleFor } from "../../bench/replay/definition.ts";
import { Recorder } from "../../bench/replay/recorder.ts";
import { readTrace, type Trace } from "../../bench/replay/trace.ts";
import { traceFiles } from "../../bench/replay/trace-files.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { chain, forkJoin, join, layers, parallelChains, processNames, uneven } from "../bench/traces.ts";
import { openTestPool } from "../support/database.ts";

/** Names what is replayed in the process that has this variable: `few` traces of our own, or `all`, the recorded ones if they are there. */
export const replayVariable = "TASKER_TEST_REPLAY";

export type Replayed = "few" | "all";

/** The traces of a replay. Without recorded ones, some of our own in the same shapes take their place. */
export function tracesOf(replayed: Replayed): Trace[] {
  if (replayed === "few") return [forkJoin(40), layers(9, 12, 5), parallelChains(8, 6)];
  const files = traceFiles();
  if (files !== undefined) return files.map((file) => readTrace(file));
  return [chain(5), forkJoin(40), join(800), layers(20, 30, 15), parallelChains(40, 6), processNames(150), uneven(285)];
}

/** Each call of a handler: written when it begins, by the database's clock. */
export const callsTable = `create table replay_calls (task_id uuid not null, key uuid not null, attempt int not null,
  results_of text[] not null, pid int not null, began_at timestamptz not null default clock_timestamp())`;

/** Seconds that the longest step of a trace waits. */
const longestSeconds = 0.5;

let pool: Database | undefined;

function side(): Database {
  pool ??= openTestPool(process.env["DATABASE_URL"] ?? "", 4);
  return pool;
}

/** A trace as bench/replay defines it, whose handlers leave a row first and whose steps outlive many killed workers. */
export function traceDefinition(trace: Trace): AnyTaskDefinition {
  const definition = definitionOf(trace, scaleFor(trace, longestSeconds), new Recorder(systemClock));
  const retry = { ...defaultRetryPolicy, maxAttempts: 100, initialDelayMs: 20, maxDelayMs: 200 };
  const steps = definition.spec.steps.map((step) => ({ ...step, retry }));
  const handlers = new Map(steps.map(({ name }) => [name, noted(definition.handlerOf(name))] as const));
  return new TaskDefinition(definition.name, undefined, steps, handlers);
}

function noted(handler: StepHandler | undefined): StepHandler {
  if (handler === undefined) throw new Error("the definition has no such handler");
  return async (context) => {
    const { taskId, idempotencyKey, attempt, results } = context;
    await side().query({
      text: "insert into replay_calls (task_id, key, attempt, results_of, pid) values ($1, $2, $3, $4, $5)",
      values: [taskId, idempotencyKey, attempt, Object.keys(results), process.pid],
    });
    return handler(context);
  };
}

const asked = process.env[replayVariable];
const definitions = asked === "few" || asked === "all" ? tracesOf(asked).map((trace) => traceDefinition(trace)) : [];

// oxlint-disable-next-line import/no-default-export -- It is how `tasker worker --tasks` takes any number of definitions.
export default definitions;
