import { type CreatedTask, createTasks, type NewTask } from "../engine/create-tasks.ts";
import { IdempotencyConflictError } from "../engine/errors.ts";
import { WakeUps } from "../engine/wake-ups.ts";
import type { Database, Sql } from "../postgres/sql.ts";
import { encodePayload } from "../workflow/payload.ts";
import { type TemplateName, templateLabel } from "../workflow/template.ts";
import type { CurrentRevision } from "./current-revision.ts";
import { UnknownTemplateError } from "./errors.ts";
import { checkInput } from "./input-schema.ts";
import { checkSubmitOptions, type SubmitOptions } from "./submit-options.ts";
import type { TaskHandlerRegistry } from "./task-handler-registry.ts";
import type { TemplateStore } from "./template-store.ts";

/** A task to submit. */
export interface Submission extends SubmitOptions {
  readonly input: unknown;
}

/** How often a creation that met a new revision is tried again. */
const revisionRetriesMax = 10;

/** Creates tasks of registered templates. */
export class TaskSubmitter {
  readonly #database: Database;
  readonly #store: TemplateStore;
  readonly #registry: TaskHandlerRegistry;
  readonly #wakeUps: WakeUps;

  constructor(options: {
    readonly database: Database;
    readonly store: TemplateStore;
    readonly registry: TaskHandlerRegistry;
    readonly wakeUps: WakeUps;
  }) {
    this.#database = options.database;
    this.#store = options.store;
    this.#registry = options.registry;
    this.#wakeUps = options.wakeUps;
  }

  /**
   * Creates tasks of one template, all or none.
   *
   * Inputs are checked by the template's schema where this process has it; elsewhere the worker checks before the first step.
   *
   * @param transaction the caller's: the tasks exist when it commits
   * @returns a result per submission in their order: `created`, or `existing` for an idempotency key that was used before
   * @throws UnknownTemplateError, InvalidPayloadError, IdempotencyConflictError; nothing is written then
   */
  async submit(template: TemplateName, submissions: readonly Submission[], transaction?: Sql): Promise<CreatedTask[]> {
    const tasks = await this.#check(template, submissions);
    const { created, namespaceId } = await this.#create(template, tasks, transaction);
    if (transaction !== undefined) await WakeUps.notifyWithin(transaction, [namespaceId]);
    else this.#wakeUps.wake([namespaceId]);
    return created;
  }

  async #check(template: TemplateName, submissions: readonly Submission[]): Promise<NewTask[]> {
    const schema = this.#registry.definitionOf(template)?.schema;
    const what = `the input of ${templateLabel(template)}`;
    for (const options of submissions) checkSubmitOptions(options, `a task of ${templateLabel(template)}`);
    return Promise.all(
      submissions.map(async ({ input, runAt, ...options }) => ({
        ...options,
        runAt: runAt?.toISOString(),
        inputChecked: schema !== undefined,
        input: encodePayload(await checkInput(schema, input, what), what),
      })),
    );
  }

  async #create(
    template: TemplateName,
    tasks: readonly NewTask[],
    transaction: Sql | undefined,
  ): Promise<{ readonly created: CreatedTask[]; readonly namespaceId: number }> {
    let revision =
      transaction === undefined
        ? await this.#store.current(template)
        : await this.#store.currentWithin(transaction, template);
    for (let tries = 0; tries < revisionRetriesMax; tries++) {
      if (revision === null) {
        throw new UnknownTemplateError(
          `There is no template ${templateLabel(template)}; a worker registers it when it starts`,
        );
      }
      const created = await this.#createOf(revision, tasks, template, transaction);
      if (created !== null) return { created, namespaceId: revision.namespaceId };
      revision = await this.#store.reread(transaction ?? this.#database, template);
    }
    throw new Error(`Template ${templateLabel(template)} changed ${revisionRetriesMax} times while a task was created`);
  }

  /** Null, and nothing is written, when the revision is not current any more. */
  #createOf(
    revision: CurrentRevision,
    tasks: readonly NewTask[],
    template: TemplateName,
    transaction: Sql | undefined,
  ): Promise<CreatedTask[] | null> {
    const create = async (sql: Sql): Promise<CreatedTask[] | null> => {
      const created = await createTasks(sql, revision, tasks);
      if (created !== null) refuseConflicts(created, tasks, template);
      return created;
    };
    if (transaction !== undefined) return create(transaction);
    // The statement is a transaction by itself. Only a conflict among several has something to take back.
    const takesBack = tasks.length > 1 && tasks.some((task) => task.idempotencyKey !== undefined);
    return takesBack ? this.#database.transaction(create) : create(this.#database);
  }
}

/** Thrown inside the transaction, so that it takes back the tasks that were created beside the conflict. */
function refuseConflicts(created: readonly CreatedTask[], tasks: readonly NewTask[], template: TemplateName): void {
  const index = created.findIndex((task) => task.outcome === "conflict");
  if (index < 0) return;
  throw new IdempotencyConflictError(
    `The idempotency key ${JSON.stringify(tasks[index]?.idempotencyKey)} was used for ${templateLabel(template)} before, with another input`,
  );
}
