import assert from "node:assert/strict";

import { createTasks } from "../../src/engine/create-tasks.ts";
import type { Database } from "../../src/postgres/sql.ts";
import type { Trace } from "../../bench/replay/trace.ts";
import { tracesFolder } from "../../bench/replay/trace-files.ts";
import { checkInvariants } from "../engine/invariants.ts";
import type { Scope } from "../support/database.ts";
import { foldAll } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { endedSteps, openTasks, registerDefinition } from "./chaos.ts";
import { persistently, startChaosCluster } from "./chaos-cluster.ts";
import { arrangeFaults, cutListeners, endFaults, lockInWrongOrder } from "./chaos-faults.ts";
import { callsTable, type Replayed, replayVariable, traceDefinition, tracesOf } from "./chaos-trace-tasks.ts";
import { ChaosWorkers, type Program } from "./chaos-workers.ts";

export interface ReplayOptions {
  readonly program: Program;
  readonly replayed: Replayed;
  /** How often each trace is run; all of it at the same time. */
  readonly repeat: number;
  readonly kills: number;
}

/** What happened, for the record. */
export interface ReplayReport {
  readonly traces: number;
  readonly steps: number;
  readonly kills: number;
  /** Attempts whose handlers began beyond the first of their steps. */
  readonly repeated: number;
}

/**
 * Replays traces, all at the same time, by workers that are killed, paused and cut off, and with one crash of Postgres: each step
 * ends once, and no handler begins before its parents' results are recorded.
 */
export async function replayUnderChaos(scope: Scope, options: ReplayOptions): Promise<ReplayReport> {
  const { program, replayed, repeat, kills } = options;
  const cluster = await startChaosCluster(scope);
  const { db, url } = cluster;
  await db.query({ text: callsTable });
  await arrangeFaults(db, false);
  const traces = tracesOf(replayed);
  assert.ok(traces.length > 0, `${tracesFolder()} holds no executions`);
  const taskIds: string[] = [];
  for (const trace of traces) taskIds.push(...(await submit(db, trace, repeat)));
  const env = { [replayVariable]: replayed, TASKER_TEST_TRACES: tracesFolder() };
  const workers = new ChaosWorkers(scope, { program, url, count: 3, env });
  await workers.start();
  const steps = traces.reduce((sum, trace) => sum + trace.steps.length, 0) * repeat;
  for (let kill = 0; kill < kills; kill++) {
    const enough = (steps * kill) / kills;
    await eventually(
      "steps end",
      () => endedSteps(db),
      (ended) => ended >= enough,
    );
    await lockInWrongOrder(db);
    workers.wake();
    if (kill % 10 === 1) await workers.pause(kill);
    if (kill % 6 === 3) await cutListeners(db);
    if (kill === kills >> 1) await cluster.crash("kill");
    await workers.kill(kill * 7);
    if (kill === kills >> 1) await cluster.restart();
  }
  await workers.wakeAll();
  await eventually(
    "every task ends",
    () => openTasks(db),
    (open) => open === 0,
    180_000,
  );
  await workers.stop();
  await endFaults(db);
  await foldAll(db);
  await checkInvariants(db);
  for (const [index, trace] of traces.entries()) {
    for (const id of taskIds.slice(index * repeat, (index + 1) * repeat)) await checkReplay(db, trace, id);
  }
  const repeated = await db.query({ text: "select from replay_calls where attempt > 1" });
  return { traces: traces.length, steps, kills: workers.kills, repeated: repeated.length };
}

async function submit(db: Database, trace: Trace, repeat: number): Promise<string[]> {
  const template = await persistently(() => registerDefinition(db, traceDefinition(trace)));
  const ids: string[] = [];
  for (let run = 0; run < repeat; run++) {
    const task = { input: "null", inputChecked: true, idempotencyKey: `run ${run}` };
    const [created] = (await persistently(() => createTasks(db, template, [task]))) ?? [];
    assert.ok(created !== undefined, `no task of ${trace.name} was created`);
    ids.push(created.id);
  }
  return ids;
}

interface ReplayedStep {
  readonly name: string;
  readonly state: string;
  readonly successes: number;
  /** Whether the attempt that succeeded had called its handler. */
  readonly was_called: boolean;
  readonly parents: readonly string[];
  /** Calls that began before a parent's result was recorded. */
  readonly early: number;
  /** Calls that were not given exactly the parents' results. */
  readonly misinformed: number;
}

/** What is stored of a task against its trace, and when its handlers began against when their parents ended. */
async function checkReplay(db: Database, trace: Trace, taskId: string): Promise<void> {
  const stored = await db.query<ReplayedStep>({
    text: `select n.name, s.state, r.successes, r.was_called, p.parents, c.early, c.misinformed
      from tasker.workflow_steps s join tasker.named_steps n on n.id = s.named_step_id
      cross join lateral (select coalesce(array_agg(pn.name order by pn.name), '{}') as parents, max(ps.finished_at) as ended_at
        from tasker.workflow_step_edges e join tasker.workflow_steps ps on ps.id = e.parent_step_id
        join tasker.named_steps pn on pn.id = ps.named_step_id where e.child_step_id = s.id) p
      cross join lateral (select count(*) as successes, bool_and(exists (select from replay_calls c
          where c.key = s.id and c.attempt = r.attempt)) as was_called
        from tasker.workflow_step_results r where r.step_id = s.id and r.succeeded) r
      cross join lateral (select count(*) filter (where c.began_at < p.ended_at) as early,
          count(*) filter (where not (c.results_of @> p.parents::text[] and p.parents::text[] @> c.results_of)) as misinformed
        from replay_calls c where c.key = s.id) c
      where s.task_id = $1`,
    values: [taskId],
  });
  const nameOf = new Map(trace.steps.map(({ id, name }) => [id, name]));
  const expected = trace.steps.map(({ name, parents }) => ({
    name,
    state: "complete",
    successes: 1,
    was_called: true,
    parents: parents.map((parent) => nameOf.get(parent) ?? parent).toSorted(),
    early: 0,
    misinformed: 0,
  }));
  const byName = (a: { readonly name: string }, b: { readonly name: string }): number => (a.name < b.name ? -1 : 1);
  const got = stored.map((step) => ({ ...step, parents: step.parents.toSorted() }));
  assert.deepEqual(got.toSorted(byName), expected.toSorted(byName), trace.name);
}
