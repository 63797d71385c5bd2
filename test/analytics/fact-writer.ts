import type { Database, Sql } from "../../src/postgres/sql.ts";
import { deferred, type Deferred } from "../support/deferred.ts";
import { type Fact, type Microseconds, timestamp } from "./recount.ts";

/** A change of the number of tasks or steps in a state. */
export interface Delta {
  readonly identity: number;
  readonly subject: "step" | "task";
  readonly state: string;
  readonly delta: number;
  readonly recordedAt: Microseconds;
}

/** What a transaction of the engine appends. */
export interface Writing {
  readonly facts: readonly Fact[];
  readonly deltas: readonly Delta[];
}

/** Appends facts and deltas with the transaction's tick, as the engine does. */
export async function write(sql: Sql, { facts, deltas }: Writing): Promise<void> {
  const rows = facts.map((fact) => ({ ...fact, endedAt: timestamp(fact.endedAt) }));
  const steps = rows.filter(({ subject }) => subject === "step");
  const tasks = rows.filter(({ subject }) => subject === "task");
  const changes = deltas.map((delta) => ({ ...delta, recordedAt: timestamp(delta.recordedAt) }));
  if (steps.length > 0) await sql.query({ text: insertSteps, values: [JSON.stringify(steps)] });
  if (tasks.length > 0) await sql.query({ text: insertTasks, values: [JSON.stringify(tasks)] });
  if (changes.length > 0) await sql.query({ text: insertDeltas, values: [JSON.stringify(changes)] });
}

const insertSteps = `insert into tasker.step_facts (ended_at, tick, dependency_wait_us, queue_wait_us, retry_us, run_us, task_id,
    identity_id, attempts, failed_attempts, outcome, reopened, from_state)
  select "endedAt", tasker.tick(), "dependencyWaitUs", "queueWaitUs", "retryUs", "durationUs", gen_random_uuid(), identity,
      attempts, "failedAttempts", outcome, reopened, "fromState"
    from jsonb_to_recordset($1::jsonb) as f("endedAt" timestamptz, "dependencyWaitUs" bigint, "queueWaitUs" bigint,
      "retryUs" bigint, "durationUs" bigint, identity integer, attempts integer, "failedAttempts" integer,
      outcome tasker.step_state, reopened boolean, "fromState" tasker.step_state)`;

const insertTasks = `insert into tasker.task_facts (ended_at, tick, duration_us, task_id, identity_id, step_count, failed_step_count,
    outcome, reopened, from_state)
  select "endedAt", tasker.tick(), "durationUs", gen_random_uuid(), identity, "stepCount", "failedStepCount", outcome, reopened,
      "fromState"
    from jsonb_to_recordset($1::jsonb) as f("endedAt" timestamptz, "durationUs" bigint, identity integer, "stepCount" integer,
      "failedStepCount" integer, outcome tasker.task_state, reopened boolean, "fromState" tasker.task_state)`;

const insertDeltas = `insert into tasker.state_deltas (recorded_at, tick, identity_id, delta, subject, state)
  select "recordedAt", tasker.tick(), identity, delta, subject, state
    from jsonb_to_recordset($1::jsonb) as d("recordedAt" timestamptz, identity integer, delta integer, subject text, state text)`;

/** A transaction that stays open, and with it its tick below what others have committed since. */
export class OpenTransaction {
  readonly #sql: Sql;
  readonly #verdict: Deferred<"commit" | "rollback">;
  readonly #done: Promise<void>;
  /** What it has written so far. */
  readonly written: Writing[] = [];

  private constructor(sql: Sql, verdict: Deferred<"commit" | "rollback">, done: Promise<void>) {
    this.#sql = sql;
    this.#verdict = verdict;
    this.#done = done;
  }

  static async begin(db: Database): Promise<OpenTransaction> {
    const begun = deferred<Sql>();
    const verdict = deferred<"commit" | "rollback">();
    const undo = new Error("rolled back");
    const done = db
      .transaction(async (sql) => {
        await sql.query({ text: "select tasker.tick()::text" });
        begun.resolve(sql);
        if ((await verdict.promise) === "rollback") throw undo;
      })
      .catch((error: unknown) => {
        if (error !== undo) throw error;
      });
    const sql = await Promise.race([begun.promise, done.then(() => Promise.reject(new Error("it ended already")))]);
    return new OpenTransaction(sql, verdict, done);
  }

  /** In a subtransaction, whose own id no fact must carry. */
  async write(writing: Writing): Promise<void> {
    await this.#sql.query({ text: "savepoint own" });
    await write(this.#sql, writing);
    await this.#sql.query({ text: "release savepoint own" });
    this.written.push(writing);
  }

  async end(how: "commit" | "rollback"): Promise<void> {
    this.#verdict.resolve(how);
    await this.#done;
  }
}
