import assert from "node:assert/strict";

import { createTasks } from "../../src/engine/create-tasks.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { registerTemplate, type RegisteredTemplate } from "../../src/templates/register.ts";
import type { AnyTaskDefinition } from "../../src/workflow/define-task.ts";
import type { Scope } from "../support/database.ts";
import { onlyRow } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { checkChaos, checkTheChecks } from "./chaos-checks.ts";
import { persistently, startChaosCluster } from "./chaos-cluster.ts";
import {
  arrangeFaults,
  cutListeners,
  endFaults,
  lockInWrongOrder,
  refusalCount,
  stepClock,
  takeAllConnections,
} from "./chaos-faults.ts";
import { chain, diamond, effectsTable, fan, stepsPerRound } from "./chaos-tasks.ts";
import { ChaosWorkers, type Program } from "./chaos-workers.ts";

export interface ChaosOptions {
  readonly program: Program;
  /** Steps in all, a multiple of 20. */
  readonly steps: number;
  readonly kills: number;
  /** How often Postgres is stopped at once and started again. */
  readonly crashes: number;
  /** Whether to see that the checks would tell. */
  readonly checksChecks?: boolean;
}

/** What happened, for the record. */
export interface ChaosReport {
  readonly kills: number;
  readonly crashes: number;
  readonly pauses: number;
  readonly refusals: number;
  readonly refusedConnections: number;
  readonly lateLogs: number;
  readonly rescued: number;
  readonly repeatedKeys: number;
}

type Template = RegisteredTemplate & { readonly stepCount: number };

const definitions: readonly AnyTaskDefinition[] = [diamond, chain, fan];
const clockSteps = [3, -2, 4, 0, -3, 1];

/**
 * Submits tasks while workers are killed, paused and cut off, and while Postgres crashes, refuses and steps its clock; checks
 * everything once all tasks have ended. Work is submitted as workers are killed, so that each kill meets some.
 */
export async function chaos(scope: Scope, options: ChaosOptions): Promise<ChaosReport> {
  const cluster = await startChaosCluster(scope);
  const { db, url } = cluster;
  await db.query({ text: effectsTable });
  await arrangeFaults(db, true);
  const templates = await Promise.all(definitions.map((definition) => registerDefinition(db, definition)));
  const workers = new ChaosWorkers(scope, { program: options.program, url, count: 3 });
  await workers.start();

  const rounds = options.steps / stepsPerRound;
  const accepted = new Set<string>();
  let refusedConnections = 0;
  let crashes = 0;
  for (let kill = 0; kill < options.kills; kill++) {
    const until = Math.ceil((rounds * (kill + 1)) / options.kills);
    const before = accepted.size / templates.length;
    for (let round = before; round < until; round++) {
      for (const template of templates) accepted.add(await submit(db, template, `round ${round}`));
    }
    // Some of what was submitted is done, and some is not.
    const enough = (before + (until - before) / 3) * stepsPerRound;
    await eventually(
      "steps end",
      () => endedSteps(db),
      (ended) => ended >= enough,
    );
    await Promise.all([1, 2, 3].map(() => lockInWrongOrder(db)));
    workers.wake();
    if (kill % 10 === 1) await workers.pause(kill);
    if (kill % 4 === 2) await stepClock(db, clockSteps[(kill >> 2) % clockSteps.length] ?? 0);
    if (kill % 6 === 3) await cutListeners(db);
    if (kill % 12 === 4) refusedConnections += await takeAllConnections(url);
    if (crashes < options.crashes && kill >= ((crashes + 0.5) * options.kills) / options.crashes) {
      await cluster.crash(crashes % 2 === 0 ? "kill" : "immediate shutdown");
      crashes += 1;
      await workers.kill(kill * 7);
      await cluster.restart();
    } else await workers.kill(kill * 7);
  }
  await workers.wakeAll();
  await stepClock(db, 0);
  await eventually(
    "every task ends",
    () => openTasks(db),
    (open) => open === 0,
    180_000,
  );
  await workers.stop();
  await endFaults(db);
  const effects = await checkChaos(db, accepted, options.steps);
  if (options.checksChecks === true) await checkTheChecks(db, accepted, options.steps);
  return {
    kills: workers.kills,
    crashes,
    pauses: workers.pauses,
    refusals: await refusalCount(db),
    refusedConnections,
    lateLogs: workers.logged(/results came after their lease was lost/u),
    ...effects,
  };
}

/** Registers a definition as a worker does. */
export async function registerDefinition(db: Database, definition: AnyTaskDefinition): Promise<Template> {
  const { spec } = definition;
  return { ...(await registerTemplate(db, spec, undefined, false)), stepCount: spec.steps.length };
}

/** Asks until the task is accepted. Whether it was before, when nobody heard the answer, its key knows. */
async function submit(db: Database, template: Template, key: string): Promise<string> {
  const task = { input: "null", inputChecked: true, idempotencyKey: key };
  const [created] = (await persistently(() => createTasks(db, template, [task]))) ?? [];
  assert.ok(created !== undefined && created.outcome !== "conflict", "the task was refused");
  return created.id;
}

/** How many steps have ended. */
export async function endedSteps(db: Database): Promise<number> {
  const text = "select coalesce(sum(step_count - unfinished_steps), 0)::integer as n from tasker.tasks";
  return (await persistently(() => onlyRow<{ n: number }>(db, text))).n;
}

/** How many tasks have not. */
export async function openTasks(db: Database): Promise<number> {
  const text = "select count(*)::integer as n from tasker.tasks where ended_at is null";
  return (await persistently(() => onlyRow<{ n: number }>(db, text))).n;
}
