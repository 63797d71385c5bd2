import { startApp, type App } from "./app.ts";
import { environment } from "./config/environment.ts";
import { loadConfig } from "./config/load.ts";
import { TaskFailedError } from "./engine/errors.ts";
import { limitNamespace } from "./engine/limits.ts";
import { cancelTask, type Operator } from "./engine/operate.ts";
import { sqlOf, type PgQueryable } from "./postgres/statement.ts";
import { createLogger, type Logger } from "./runtime/logging.ts";
import type { SubmitOptions } from "./templates/submit-options.ts";
import type { AnyTaskDefinition, TaskDefinition } from "./workflow/define-task.ts";

export interface TaskerOptions {
  /** The definitions to register; this process runs their steps unless `work` is false. */
  readonly tasks: readonly AnyTaskDefinition[];
  /** Default: DATABASE_URL, else an embedded Postgres in `dataDir`. */
  readonly databaseUrl?: string;
  /** The embedded Postgres' folder. Default: ./.tasker */
  readonly dataDir?: string;
  /** Run steps in this process. Default: true. */
  readonly work?: boolean;
  /** Steps that run at once. Default: 20. */
  readonly concurrency?: number;
  /** Serve the HTTP API on this address. Default: no. */
  readonly http?: { readonly host?: string; readonly port?: number };
  /** Apply pending migrations to the database of `databaseUrl`; otherwise they are a reason not to start. */
  readonly migrate?: boolean;
  /** Any pino logger will do. Default: JSON lines on standard error. */
  readonly logger?: Logger;
}

/** A task that was submitted. */
export interface TaskHandle<Outputs> {
  readonly id: string;
  /** False when the idempotency key was used before: this is the first task. */
  readonly created: boolean;
  /**
   * Resolves to the outputs of all steps, by name, when the task is complete.
   *
   * @throws TaskFailedError when it ends otherwise; its cause is the failed step's error
   */
  result(): Promise<Outputs>;
}

/** How to submit, and in whose transaction. */
export interface SubmitWithin extends SubmitOptions {
  /**
   * The task exists when this transaction commits, together with what else it writes: a client of `pg` that has begun one, or
   * what `kyselyTransaction`, `drizzleTransaction` and `prismaTransaction` make of theirs.
   */
  readonly transaction?: PgQueryable;
}

/** Tasker inside your own process: registers definitions, runs their steps, submits tasks. */
export class Tasker {
  readonly #app: App;

  private constructor(app: App) {
    this.#app = app;
  }

  /**
   * Starts a Tasker; every other setting comes from the configuration and the environment, as for the `tasker` command.
   *
   * @throws ConfigError, MigrationError, InvalidDefinitionError, GraphChangedError, EmbeddedPostgresError
   */
  static async start(options: TaskerOptions): Promise<Tasker> {
    const config = loadConfig({
      env: environment(),
      overrides: {
        "database.url": options.databaseUrl,
        "embedded.data_dir": options.dataDir,
        "worker.concurrency": options.concurrency,
        "http.host": options.http?.host,
        "http.port": options.http?.port,
      },
    });
    const app = await startApp({
      config,
      logger: options.logger ?? createLogger({ level: config.logging.level }),
      definitions: options.tasks,
      work: options.work ?? true,
      serve: options.http !== undefined,
      migrate: options.migrate ?? false,
      // On a laptop definitions change all the time; a shared database protects the tasks of others.
      allowGraphChange: config.database.url === "",
    });
    return new Tasker(app);
  }

  /** Where the HTTP API listens; undefined when it does not. */
  get address(): string | undefined {
    return this.#app.http?.address;
  }

  /**
   * Submits a task.
   *
   * @throws UnknownTemplateError, InvalidPayloadError, IdempotencyConflictError; nothing is written then. TypeError when
   *   `transaction` is a pool
   */
  async submit<Submitted, Input, Outputs>(
    definition: TaskDefinition<Submitted, Input, Outputs>,
    input: Submitted,
    options: SubmitWithin = {},
  ): Promise<TaskHandle<Outputs>> {
    const { transaction, ...rest } = options;
    const sql = transaction === undefined ? undefined : sqlOf(transaction);
    const [task] = await this.#app.submitter.submit(definition.name, [{ input, ...rest }], sql);
    if (task === undefined) throw new Error("the task was not created");
    return { id: task.id, created: task.outcome === "created", result: () => this.#result<Outputs>(task.id) };
  }

  /**
   * Cancels a task at once. Who asked and why is kept in its history.
   *
   * @throws NotFoundError, WrongStateError
   */
  async cancel(taskId: string, by: Operator): Promise<void> {
    await cancelTask(this.#app.database, taskId, by);
    this.#app.outcomes.ended([taskId]);
  }

  /**
   * Limits how many steps of a namespace run at once in the whole fleet, or removes the limit (null). It holds for claims from now
   * on: what runs already runs on. 0 pauses the namespace. A step has a limit of its own in its definition (`concurrency`).
   *
   * @throws RangeError when `maxRunning` is no whole number from 0 to 1,000,000 or the namespace has no valid name
   */
  async limitConcurrency(namespace: string, maxRunning: number | null): Promise<void> {
    const { database, wakeUps } = this.#app;
    wakeUps.wake([await limitNamespace(database, namespace, maxRunning)]);
  }

  /** Stops: handlers may finish within the configured deadline, then their steps go back to the queue. Idempotent. */
  async stop(): Promise<void> {
    await this.#app.stop();
  }

  async #result<Outputs>(taskId: string): Promise<Outputs> {
    const outcome = await this.#app.outcomes.wait(taskId);
    if (outcome.state !== "complete") throw new TaskFailedError(outcome);
    // What the definition's handlers returned: stored as JSON and read back, which is what Outputs describes.
    return outcome.outputs as Outputs;
  }
}
