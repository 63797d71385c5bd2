import type { Database, Sql } from "../postgres/sql.ts";
import type { Logger } from "../runtime/logging.ts";
import type { AnyTaskDefinition, StepHandler } from "../workflow/define-task.ts";
import { type StepSpec, type TemplateSpec, templateLabel } from "../workflow/template.ts";
import { inputJsonSchema } from "./input-schema.ts";
import { type RegisteredTemplate, registerTemplate } from "./register.ts";
import type { TemplateStore } from "./template-store.ts";

/** A step that this process has a handler for. */
export interface RegisteredStep {
  readonly definition: AnyTaskDefinition;
  readonly registered: RegisteredTemplate;
  readonly spec: StepSpec;
  readonly handler: StepHandler;
}

/**
 * The templates of this process: writes them to Postgres at its start, then knows which handler runs which step.
 *
 * A handler serves its step in every revision of its version: the graph of a version with tasks does not change.
 */
export class TaskHandlerRegistry {
  readonly #database: Database;
  readonly #store: TemplateStore;
  readonly #logger: Logger;
  readonly #allowGraphChange: boolean;
  readonly #steps = new Map<number, RegisteredStep>();
  readonly #definitions = new Map<string, AnyTaskDefinition>();

  constructor(options: {
    readonly database: Database;
    readonly store: TemplateStore;
    readonly logger: Logger;
    /** Accept another graph under a version that has tasks (development). */
    readonly allowGraphChange: boolean;
  }) {
    this.#database = options.database;
    this.#store = options.store;
    this.#logger = options.logger;
    this.#allowGraphChange = options.allowGraphChange;
  }

  /**
   * Registers definitions, one transaction each. When it resolves, every task created from now on is of these revisions.
   *
   * @throws InvalidDefinitionError, GraphChangedError, TooManyIdentitiesError
   */
  async register(definitions: readonly AnyTaskDefinition[]): Promise<void> {
    // All are checked before the first is written.
    const checked = definitions.map((definition) => ({ definition, spec: definition.spec }));
    for (const { definition, spec } of checked) {
      const registered = await registerTemplate(
        this.#database,
        spec,
        inputJsonSchema(definition.schema),
        this.#allowGraphChange,
      );
      // Also when nothing changed: a process that registered the same at the same time may still be about to, or have died.
      await this.#store.evict(spec);
      if (registered.changed) {
        this.#logger.info({ template: templateLabel(spec), revision: registered.revision }, "template registered");
      }
      this.#adopt(definition, spec, registered);
    }
  }

  #adopt(definition: AnyTaskDefinition, spec: TemplateSpec, registered: RegisteredTemplate): void {
    this.#definitions.set(templateLabel(spec), definition);
    for (const step of spec.steps) {
      const id = registered.stepIds.get(step.name);
      const handler = definition.handlerOf(step.name);
      if (id === undefined || handler === undefined) throw new Error(`step ${step.name} was not registered`);
      this.#steps.set(id, { definition, registered, spec: step, handler });
    }
  }

  /** The steps that can be claimed here, by the id of their kind. */
  get steps(): ReadonlyMap<number, RegisteredStep> {
    return this.#steps;
  }

  /** The definition of a template that was registered by this process. */
  definitionOf(template: Parameters<typeof templateLabel>[0]): AnyTaskDefinition | undefined {
    return this.#definitions.get(templateLabel(template));
  }

  /**
   * What a step is allowed in the revision that its task pins: this process' own, or as it was registered.
   * Another revision is read each time: processes do not keep templates of others.
   */
  async pinnedSpec(sql: Sql, revisionId: number, step: RegisteredStep): Promise<StepSpec> {
    if (step.registered.revisionId === revisionId) return step.spec;
    const [row] = await sql.query<{ definition: TemplateSpec }>({
      text: "select definition from tasker.named_task_revisions where id = $1",
      values: [revisionId],
    });
    return row?.definition.steps.find((candidate) => candidate.name === step.spec.name) ?? step.spec;
  }
}
