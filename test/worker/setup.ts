import { WakeUps } from "../../src/engine/wake-ups.ts";
import type { Database, Sql, Statement } from "../../src/postgres/sql.ts";
import { type Logger, silentLogger } from "../../src/runtime/logging.ts";
import { TaskSubmitter } from "../../src/templates/submit.ts";
import type { TaskHandlerRegistry } from "../../src/templates/task-handler-registry.ts";
import type { TemplateStore } from "../../src/templates/template-store.ts";
import { Worker, type WorkerSettings } from "../../src/worker/worker.ts";
import type { AnyTaskDefinition } from "../../src/workflow/define-task.ts";
import { ManualClock } from "../support/clock.ts";
import type { Scope } from "../support/database.ts";
import { deferred, type Deferred } from "../support/deferred.ts";
import { moveClock, onlyRow } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { templateSystem } from "../templates/setup.ts";

/** What a worker asks of the database passes through here; throwing fails it, waiting holds it. */
export type Intercept = (statement: Statement) => void | Promise<void>;

/** As `pg` reports that nobody listens. */
export function connectionRefused(): Error {
  return Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
}

const settings: WorkerSettings = {
  concurrency: 10,
  leaseMs: 30_000,
  leaseRenewMs: 10_000,
  // Nothing in a test is found by polling, unless the test is about that.
  pollIntervalMs: 1_000_000_000,
  completionBatch: 100,
  heartbeatIntervalMs: 1000,
  shutdownTimeoutMs: 5000,
};

export interface WorkerSystemOptions extends Partial<WorkerSettings> {
  readonly onTasksEnded?: (taskIds: readonly string[]) => void;
  readonly logger?: Logger;
}

/** A worker on a database whose clock is stopped, with a clock that the test moves together with it. */
export class WorkerSystem {
  readonly worker: Worker;
  readonly clock = new ManualClock();
  readonly wakeUps: WakeUps;
  /** Changed by a test at any time. */
  intercept: Intercept = () => {};
  late = 0;
  readonly #db: Database;
  readonly #submitter: TaskSubmitter;
  readonly #ended = new Map<string, Deferred<void>>();

  private constructor(db: Database, registry: TaskHandlerRegistry, store: TemplateStore, options: WorkerSystemOptions) {
    this.#db = db;
    const database: Database = {
      query: async <Row extends object>(statement: Statement): Promise<Row[]> => {
        await this.intercept(statement);
        return db.query<Row>(statement);
      },
      transaction: (work, transactionOptions) => db.transaction(work, transactionOptions),
      usage: () => db.usage(),
      close: () => Promise.resolve(),
    };
    this.wakeUps = new WakeUps(db, this.clock, silentLogger);
    this.#submitter = new TaskSubmitter({ database: db, store, registry, wakeUps: this.wakeUps });
    this.worker = new Worker({
      logger: silentLogger,
      ...settings,
      ...options,
      database,
      registry,
      wakeUps: this.wakeUps,
      clock: this.clock,
      metrics: { lateCompletions: { add: (count) => (this.late += count) } },
      onTasksEnded: (ids) => {
        for (const id of ids) this.#endOf(id).resolve();
        options.onTasksEnded?.(ids);
      },
    });
  }

  /** Registers the definitions, starts a worker for them, and stops it after the scope. */
  static async start(
    scope: Scope,
    db: Database,
    definitions: readonly AnyTaskDefinition[],
    options: WorkerSystemOptions = {},
  ): Promise<WorkerSystem> {
    const { registry, store } = templateSystem(db);
    await registry.register(definitions);
    const system = new WorkerSystem(db, registry, store, options);
    scope.after(async () => {
      system.intercept = () => {};
      await system.stop();
    });
    await system.worker.start();
    return system;
  }

  /** Submits a task and wakes the worker. */
  async submit(definition: Pick<AnyTaskDefinition, "name">, input: unknown = null): Promise<string> {
    const [task] = await this.#submitter.submit(definition.name, [{ input }]);
    if (task === undefined) throw new Error("no task was created");
    return task.id;
  }

  /** Resolves when the task has ended through this worker. */
  ended(taskId: string): Promise<void> {
    return this.#endOf(taskId).promise;
  }

  /** Stops the worker. Its clock goes on until it has stopped: it may wait for handlers that hang, and it begins to at any time. */
  async stop(): Promise<void> {
    let isStopped = false;
    const stopped = this.worker.stop().finally(() => (isStopped = true));
    const goOn = async (): Promise<boolean> => {
      await this.clock.advance(1000);
      return isStopped;
    };
    await eventually("the worker stops", goOn, (is) => is);
    await stopped;
  }

  /** Resolves when a timer waits that is due in exactly so long: what began before it is over. */
  async untilDueIn(ms: number): Promise<void> {
    const delays = (): Promise<number[]> => Promise.resolve(this.clock.delays);
    await eventually(`a timer is due in ${ms} ms`, delays, (due) => due.includes(ms));
  }

  /** Moves the database's clock and the worker's. */
  async advance(ms: number): Promise<void> {
    await moveClock(this.#db, ms / 1000);
    await this.clock.advance(ms);
  }

  #endOf(taskId: string): Deferred<void> {
    const end = this.#ended.get(taskId) ?? deferred();
    this.#ended.set(taskId, end);
    return end;
  }
}

/** Calls that a test waits for: `next` resolves with the first that it has not seen yet. */
export class Calls<T> {
  readonly #seen: T[] = [];
  #wake = deferred();

  add(call: T): void {
    this.#seen.push(call);
    this.#wake.resolve();
  }

  get waiting(): number {
    return this.#seen.length;
  }

  async next(): Promise<T> {
    while (this.#seen.length === 0) {
      this.#wake = deferred();
      await this.#wake.promise;
    }
    const [call] = this.#seen.splice(0, 1);
    if (call === undefined) throw new Error("no call");
    return call;
  }
}

/** The step of a task that has one, as it stands. */
export function stepOf(
  sql: Sql,
  taskId: string,
): Promise<{
  state: string;
  attempt: number;
  failed_attempts: number;
  life: number;
  run_us: number | null;
  output: unknown;
  error: { name: string; message: string; code?: string; stack?: string } | null;
}> {
  return onlyRow(
    sql,
    `select s.state, s.attempt, s.failed_attempts, s.life, s.run_us,
        (select r.output from tasker.workflow_step_results r where r.step_id = s.id and r.succeeded) as output,
        (select r.error from tasker.workflow_step_results r where r.step_id = s.id and not r.succeeded
          order by r.attempt desc limit 1) as error
      from tasker.workflow_steps s where s.task_id = $1`,
    [taskId],
  );
}

/** Resolves when the only step of a task has come into a state that no callback tells of. */
export async function untilState(sql: Sql, taskId: string, state: string): Promise<void> {
  const ask = async (): Promise<string> => (await stepOf(sql, taskId)).state;
  await eventually(`the step is ${state}`, ask, (found) => found === state);
}
