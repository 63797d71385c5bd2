import type { Sql } from "../../src/postgres/sql.ts";
import { sleep, systemClock } from "../../src/runtime/clock.ts";
import type { Fleet } from "./fleet.ts";
import { machineMs, type Run } from "./protocol.ts";
import { stepsOf, type Workload } from "./workloads.ts";

/** How fast a workload went, and what it cost the server from the start of the workers to their end. */
export interface Throughput {
  readonly tasks: number;
  readonly steps: number;
  readonly stepsPerSecond: number;
  readonly transactionsPerStep: number;
  readonly walBytesPerStep: number;
  /** Row versions that updates and deletes leave to vacuum. */
  readonly deadTuplesPerStep: number;
}

/** A run that takes longer has come to a halt. */
const patienceMs = 300_000;
const lookEveryMs = 25;
const lookWhetherRecordedEveryMs = 5;

/** The first steps find connections and plans cold; the rate is that of the rest. */
const coldShare = 0.1;

/**
 * Queues tasks, then starts the workers in so many processes. The rate is that of the steps after the first tenth: from the
 * moment the last of those ran to the moment when the database is seen to hold nothing unfinished.
 *
 * @throws when a step did not run, or ran twice, or nothing moves any more
 */
export async function measureThroughput(
  fleet: Fleet,
  workload: Workload,
  steps: number,
  processes: number,
): Promise<Throughput> {
  const stepsPerTask = stepsOf(workload).length;
  const tasks = Math.max(1, Math.round(steps / stepsPerTask));
  await fleet.contender.enqueue(fleet, workload, tasks);
  const before = await costSoFar(fleet.database);
  const { runs, recordedMs } = await runAll(fleet, workload, tasks * stepsPerTask, processes);
  requireOnceEach(fleet.contender.name, runs, tasks * stepsPerTask);
  const after = await costSoFar(fleet.database);
  return {
    tasks,
    steps: runs.length,
    stepsPerSecond: rateOf(runs, recordedMs),
    transactionsPerStep: (after.transactions - before.transactions) / runs.length,
    walBytesPerStep: (after.walBytes - before.walBytes) / runs.length,
    deadTuplesPerStep: (after.deadTuples - before.deadTuples) / runs.length,
  };
}

interface Finished {
  readonly runs: readonly Run[];
  readonly recordedMs: number;
}

/** Works until so many steps have run and everything is recorded. */
async function runAll(fleet: Fleet, workload: Workload, steps: number, processes: number): Promise<Finished> {
  const runs: Run[] = [];
  const ask = async (what: "tell" | "stop"): Promise<void> => {
    for (const answer of await fleet.ask({ do: what }, processes)) runs.push(...answer.runs);
  };
  const lateMs = machineMs() + patienceMs;
  for (const answer of await fleet.ask({ do: "start", workload }, processes)) runs.push(...answer.runs);
  while (runs.length < steps) {
    if (machineMs() > lateMs) throw new Error(`${fleet.contender.name} has come to a halt: ${runs.length} of ${steps}`);
    await sleep(systemClock, lookEveryMs);
    await ask("tell");
  }
  const { contender, database } = fleet;
  while ((await database.query({ text: contender.unfinished })).length > 0) {
    if (machineMs() > lateMs) throw new Error(`${contender.name} does not record all that ran`);
    await sleep(systemClock, lookWhetherRecordedEveryMs);
  }
  const recordedMs = machineMs();
  await ask("stop");
  return { runs, recordedMs };
}

/** @throws unless so many steps ran, each once */
export function requireOnceEach(name: string, runs: readonly Run[], steps: number): void {
  const different = new Set(runs.map(([task, place]) => `${task}/${place}`)).size;
  if (runs.length === steps && different === steps) return;
  throw new Error(`${name} ran ${different} different steps in ${runs.length} runs, of ${steps}`);
}

/** Steps per second after the cold ones; at least the first counts as one of those. */
function rateOf(runs: readonly Run[], recordedMs: number): number {
  const times = runs.map(([, , atMs]) => atMs).toSorted((a, b) => a - b);
  const from = Math.floor(times.length * coldShare);
  const seconds = (recordedMs - (times[from] ?? Number.NaN)) / 1000;
  return (times.length - 1 - from) / seconds;
}

interface Cost {
  readonly transactions: number;
  readonly walBytes: number;
  readonly deadTuples: number;
}

/** Sessions report theirs when they end, at the latest; the server's WAL is this contender's while nobody else works. */
async function costSoFar(sql: Sql): Promise<Cost> {
  const [cost] = await sql.query<Cost>({
    text: `select xact_commit + xact_rollback as transactions,
      (pg_current_wal_lsn() - '0/0')::double precision as "walBytes",
      (select coalesce(sum(n_tup_upd + n_tup_del), 0)::double precision from pg_stat_user_tables) as "deadTuples"
      from pg_stat_database where datname = current_database()`,
  });
  if (cost === undefined) throw new Error("the database gave no row");
  return cost;
}
