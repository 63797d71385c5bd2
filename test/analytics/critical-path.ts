import assert from "node:assert/strict";

import fc from "fast-check";

import type { Database, Sql, Timestamp } from "../../src/postgres/sql.ts";
import { type Action, Actor, actions, finishAll, graphs } from "../engine/histories.ts";
import { create, databaseTime, moveClock, onlyRow, register } from "../support/engine.ts";
import { randomCases } from "../support/random.ts";
import { type Microseconds, windowStart } from "./recount.ts";
import { close } from "./support.ts";

/** Traces all tasks that ended; returns how many. */
export async function traceAll(db: Sql, atATime = 1000): Promise<number> {
  let traced = 0;
  for (let more = true; more;) {
    const piece = await onlyRow<{ traced: number; more: boolean }>(
      db,
      "select traced, more from tasker.trace_critical_paths($1)",
      [atATime],
    );
    traced += piece.traced;
    more = piece.more;
  }
  return traced;
}

interface StepRow {
  readonly id: string;
  readonly task_id: string;
  readonly named_step_id: number;
  readonly state: string;
  readonly finished_at: Timestamp | null;
  readonly released_by: string | null;
}

interface TaskRow {
  readonly id: string;
  readonly ended_at: Timestamp;
  readonly life_started_at: Timestamp;
}

/** What a step owns of a task. */
interface Owned {
  readonly stepId: number;
  readonly us: Microseconds;
  readonly taskEndedAt: Microseconds;
}

function microseconds(at: Timestamp): Microseconds {
  return Date.parse(`${at.slice(0, 19)}Z`) * 1000 + Number(at.slice(20, 26));
}

/** The definition, one step after the other. */
function ownedIn(task: TaskRow, all: readonly StepRow[]): Owned[] {
  const own = all.filter(({ task_id }) => task_id === task.id);
  const [begun, taskEndedAt] = [microseconds(task.life_started_at), microseconds(task.ended_at)];
  const path: Owned[] = [];
  const did = own.filter(({ state }) => ["complete", "error", "resolved_manually"].includes(state));
  let [step] = did.toSorted((a, b) => (key(a) < key(b) ? 1 : -1));
  while (step?.finished_at) {
    const { released_by: parentId, finished_at: end, named_step_id: stepId } = step;
    const parent = own.find(({ id }) => id === parentId);
    const from = Math.max(begun, parent?.finished_at ? microseconds(parent.finished_at) : begun);
    path.push({ stepId, us: microseconds(end) - from, taskEndedAt });
    step = from > begun ? parent : undefined;
  }
  const sum = path.reduce((total, { us }) => total + us, 0);
  assert.equal(sum, taskEndedAt - begun, "what the steps own sums to the task's life");
  return path;
}

function key({ finished_at, id }: StepRow): string {
  return `${finished_at} ${id}`;
}

const emptied = [
  "tasks",
  "workflow_steps",
  "workflow_step_edges",
  "workflow_step_results",
  "workflow_step_heartbeats",
  "task_facts",
].map((table) => `tasker.${table}`);

/** A history's tasks, and what has been traced of them. */
class Case {
  readonly #db: Database;
  readonly #traced: Owned[] = [];
  #lastTick = 0;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Traces in the database, and recounts what it has traced. */
  async trace(atATime: number): Promise<void> {
    const tasks = await this.#db.query<TaskRow>({
      text: `select distinct t.id, t.ended_at, t.life_started_at from tasker.tasks t
        join tasker.task_facts f on f.task_id = t.id and f.ended_at = t.ended_at and f.outcome = t.state
        where f.tick > $1 and t.state in ('complete', 'error')`,
      values: [this.#lastTick],
    });
    const { tick } = await onlyRow<{ tick: number }>(
      this.#db,
      "select coalesce(max(tick), 0) as tick from tasker.task_facts",
    );
    this.#lastTick = Math.max(this.#lastTick, tick);
    const steps = await this.#db.query<StepRow>({
      text: "select id, task_id, named_step_id, state, finished_at, released_by from tasker.workflow_steps",
    });
    this.#traced.push(...tasks.flatMap((task) => ownedIn(task, steps)));
    assert.equal(await traceAll(this.#db, atATime), tasks.length);
  }

  async check(hours: number): Promise<void> {
    const now = await databaseTime(this.#db);
    const from = windowStart(hours, microseconds(now)) ?? 0;
    const owned = new Map<number, number>();
    let total = 0;
    for (const { stepId, us, taskEndedAt } of this.#traced) {
      if (taskEndedAt < from) continue;
      owned.set(stepId, (owned.get(stepId) ?? 0) + us);
      total += us;
    }
    const shares = await this.#db.query<{ identity_id: number; share: number }>({
      text: "select identity_id, share from tasker.critical_path_shares(tasker.window_start($1, $2), $2, $3)",
      values: [hours, now, [...owned.keys()]],
    });
    const expected = total === 0 ? [] : [...owned].map(([stepId, us]) => ({ stepId, share: us / total }));
    assert.equal(shares.length, expected.length);
    for (const { stepId, share } of expected) {
      close(shares.find(({ identity_id }) => identity_id === stepId)?.share ?? null, share);
    }
  }
}

type Move = { readonly kind: "wait"; readonly seconds: number } | { readonly kind: "trace"; readonly atATime: number };

const move: fc.Arbitrary<Move> = fc.oneof(
  fc.record({ kind: fc.constant("wait" as const), seconds: fc.oneof(fc.nat(90), fc.nat(90_000)) }),
  fc.record({ kind: fc.constant("trace" as const), atATime: fc.integer({ min: 1, max: 50 }) }),
);

const history = fc.tuple(
  graphs,
  fc.integer({ min: 1, max: 4 }),
  fc.array(fc.tuple(actions(1), move), { minLength: 5, maxLength: 40 }),
);

/** Random histories of a graph's tasks, with resets, resolutions and a moving clock: shares equal those of a plain recount. */
export async function sharesEqualRecount(db: Database, cases: number): Promise<void> {
  let graphNumber = 0;
  await fc.assert(
    fc.asyncProperty(history, async ([graph, tasks, steps]) => {
      graphNumber += 1;
      await db.query({ text: `truncate ${emptied.join(", ")}` });
      const template = await register(db, graph, { version: String(graphNumber), retry: { maxAttempts: 3 } });
      await create(
        db,
        template,
        Array.from({ length: tasks }, () => ({})),
      );
      const actor = new Actor(db, template);
      const one = new Case(db);
      for (const [action, then] of steps) {
        await actor.run(action satisfies Action[]);
        if (then.kind === "wait") await moveClock(db, then.seconds);
        else await one.trace(then.atATime);
      }
      await finishAll(db, template);
      await one.trace(1000);
      for (const hours of [0, 1, 24, 48, 49, 240]) await one.check(hours);
    }),
    { ...randomCases(cases), endOnFailure: true },
  );
}
