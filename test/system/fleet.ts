import { Tasker } from "../../src/index.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { type Scope, testDatabase } from "../support/database.ts";
import { onlyRow } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { startTasker, type TestProcess } from "../support/tasker-process.ts";
import { holdVariable, pipeline, sideTables } from "./pipeline.ts";

const module = new URL("./pipeline.ts", import.meta.url).pathname;

export interface WorkerOptions {
  readonly concurrency?: number;
  /** The step whose handlers wait for the gate in this worker. */
  readonly hold?: "first" | "left";
  readonly env?: Readonly<Record<string, string>>;
}

/** A step, how often its handler began, and what is recorded of it. */
export interface StepRecord {
  readonly key: string;
  readonly name: string;
  readonly state: string;
  readonly attempt: number;
  readonly failedAttempts: number;
  /** Successful results; more than one would be a broken promise. */
  readonly results: number;
  /** Transitions to `complete`. */
  readonly completions: number;
  /** Processes that began its handler, once for each time. */
  readonly pids: readonly number[];
  readonly output: string | null;
}

/** Several processes on one database. */
export interface Fleet {
  readonly db: Database;
  readonly url: string;
  /** Starts a `tasker worker` and waits until it runs. */
  startWorker(options?: WorkerOptions): Promise<TestProcess>;
  submit(count: number): Promise<void>;
  openGate(): Promise<void>;
  /** Waits until handlers of a step have begun so many times in a process. */
  begun(worker: TestProcess, step: string, count: number): Promise<void>;
  /** Waits until so many tasks are complete. */
  completed(count: number): Promise<void>;
  steps(): Promise<StepRecord[]>;
}

/** A database and the means to run workers on it. */
export async function setup(scope: Scope): Promise<Fleet> {
  const { url, db } = await testDatabase(scope);
  await db.query({ text: sideTables });
  const count = async (text: string, values: readonly unknown[] = []): Promise<number> =>
    (await onlyRow<{ n: number }>(db, text, values)).n;
  return {
    db,
    url,
    async startWorker({ concurrency = 10, hold, env = {} } = {}) {
      const worker = startTasker(scope, ["worker", "--tasks", module, "--concurrency", String(concurrency)], {
        env: { DATABASE_URL: url, ...(hold === undefined ? {} : { [holdVariable]: hold }), ...env },
      });
      await worker.printed(/running steps/u);
      return worker;
    },
    async submit(tasks) {
      const tasker = await Tasker.start({ databaseUrl: url, tasks: [pipeline], work: false, logger: silentLogger });
      try {
        const numbers = Array.from({ length: tasks }, (_, number) => number);
        await Promise.all(numbers.map((number) => tasker.submit(pipeline, { number })));
      } finally {
        await tasker.stop();
      }
    },
    async openGate() {
      await db.query({ text: "insert into gate values (true)" });
    },
    async begun({ pid }, step, expected) {
      const text = "select count(*)::int as n from effects where pid = $1 and step = $2";
      await eventually(
        `${expected} handlers began`,
        () => count(text, [pid, step]),
        (n) => n >= expected,
      );
    },
    async completed(expected) {
      const text = "select count(*)::int as n from tasker.tasks where state = 'complete'";
      await eventually(
        `${expected} tasks are complete`,
        () => count(text),
        (n) => n >= expected,
        180_000,
      );
    },
    steps: () =>
      db.query<StepRecord>({
        text: `select s.id as key, n.name, s.state, s.attempt, s.failed_attempts as "failedAttempts",
            (select count(*)::int from tasker.workflow_step_results r where r.step_id = s.id and r.succeeded) as results,
            (select count(*)::int from tasker.workflow_step_history t where t.step_id = s.id and t.to_state = 'complete') as completions,
            (select coalesce(array_agg(e.pid), '{}') from effects e where e.key = s.id) as pids,
            (select r.output #>> '{}' from tasker.workflow_step_results r where r.step_id = s.id and r.succeeded) as output
          from tasker.workflow_steps s join tasker.named_steps n on n.id = s.named_step_id`,
      }),
  };
}
