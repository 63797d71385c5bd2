import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Stored } from "./payload.ts";
import { defaultRetryPolicy, type RetryPolicy } from "./retry.ts";
import { checkTemplate, type StepSpec, type TemplateName, type TemplateSpec } from "./template.ts";

/** What a handler is given. */
export interface StepContext<Input, Results> {
  /** The task's input, as stored. */
  readonly input: Input;
  /** The outputs of the steps named in `after`, as stored. */
  readonly results: Results;
  /** 1 for the first attempt of the step's life. A worker that was paused may still run an older attempt beside this one. */
  readonly attempt: number;
  /** The same for every attempt of the step: give it to services that can recognise a repeated call. */
  readonly idempotencyKey: string;
  /** Aborts when the attempt's time is up, its lease is lost, its task is cancelled or the worker stops. */
  readonly signal: AbortSignal;
  readonly taskId: string;
  readonly stepName: string;
  readonly correlationId: string | null;
  /**
   * Tells that the attempt is alive, and how far it is: JSON of at most 64 KiB, shown with the step. Call it as often as you like,
   * the worker writes the latest about once a second. Without a progress the one before stays.
   *
   * @throws InvalidPayloadError when the progress is no JSON or too large
   */
  readonly heartbeat: (progress?: unknown) => void;
  /** Reads the last progress that this or an earlier attempt told, as stored; null for none. A reset step begins without. */
  readonly lastProgress: () => Promise<unknown>;
}

/** A step's work. What it returns is stored as JSON; what it throws fails the attempt. */
export type StepHandler = (context: StepContext<never, never>) => unknown;

export interface StepOptions<After extends string> {
  /** Steps defined above that must have ended well. */
  readonly after?: readonly After[];
  readonly retry?: Partial<RetryPolicy>;
  /** The longest an attempt may take, in milliseconds. Default: as long as its lease is renewed. */
  readonly timeoutMs?: number;
  /** How many attempts of this step may run at once in the whole fleet. Default: as many as there are slots. */
  readonly concurrency?: number;
  /** An attempt that sends no heartbeat for so long has failed, with `heartbeat_timeout`. Default: none need be sent. */
  readonly heartbeatTimeoutMs?: number;
}

/** A name that no step above has. */
type NewName<Name extends string, Outputs> = Name extends keyof Outputs ? `step ${Name} is defined twice` : Name;

/** A step's output in `results`: as stored, awaited. */
type OutputOf<Returned> = Stored<Awaited<Returned>>;

/**
 * A task definition: a typed graph of steps with their handlers. Immutable: `step` returns a new one.
 *
 * `Submitted` is what callers submit, `Input` what handlers read, `Outputs` the stored outputs by step name.
 */
export class TaskDefinition<Submitted = unknown, Input = unknown, Outputs = unknown> {
  declare readonly types: { readonly submitted: Submitted; readonly input: Input; readonly outputs: Outputs };
  readonly #name: TemplateName;
  readonly #schema: StandardSchemaV1 | undefined;
  readonly #steps: readonly StepSpec[];
  readonly #handlers: ReadonlyMap<string, StepHandler>;

  constructor(
    name: TemplateName,
    schema: StandardSchemaV1 | undefined,
    steps: readonly StepSpec[],
    handlers: ReadonlyMap<string, StepHandler>,
  ) {
    this.#name = name;
    this.#schema = schema;
    this.#steps = steps;
    this.#handlers = handlers;
  }

  /** Adds a step without parents. */
  step<const Name extends string, Returned>(
    name: NewName<Name, Outputs>,
    handler: (context: StepContext<Input, Record<never, never>>) => Returned,
  ): TaskDefinition<Submitted, Input, Outputs & { readonly [K in Name]: OutputOf<Returned> }>;
  /** Adds a step that runs after those named in `options.after`. */
  step<const Name extends string, Returned, const After extends string & keyof Outputs = never>(
    name: NewName<Name, Outputs>,
    options: StepOptions<After>,
    handler: (context: StepContext<Input, Pick<Outputs, After>>) => Returned,
  ): TaskDefinition<Submitted, Input, Outputs & { readonly [K in Name]: OutputOf<Returned> }>;
  step(name: string, optionsOrHandler: StepOptions<string> | StepHandler, handler?: StepHandler): unknown {
    const [options, run] =
      typeof optionsOrHandler === "function" ? [{}, optionsOrHandler] : [optionsOrHandler, handler];
    if (typeof run !== "function") throw new TypeError(`Step ${JSON.stringify(name)} has no handler function`);
    const spec: StepSpec = {
      name,
      after: [...(options.after ?? [])],
      retry: { ...defaultRetryPolicy, ...options.retry },
      timeoutMs: options.timeoutMs ?? null,
      ...(options.concurrency === undefined ? {} : { concurrency: options.concurrency }),
      ...(options.heartbeatTimeoutMs === undefined ? {} : { heartbeatTimeoutMs: options.heartbeatTimeoutMs }),
    };
    const steps = [...this.#steps, spec];
    // Checked with every step, so that the error's stack points at the line that is wrong.
    checkTemplate({ ...this.#name, steps });
    return new TaskDefinition(this.#name, this.#schema, steps, new Map([...this.#handlers, [name, run]]));
  }

  get name(): TemplateName {
    return this.#name;
  }

  /** The template as data. Throws InvalidDefinitionError while it has no steps. */
  get spec(): TemplateSpec {
    return checkTemplate({ ...this.#name, steps: this.#steps });
  }

  get schema(): StandardSchemaV1 | undefined {
    return this.#schema;
  }

  handlerOf(stepName: string): StepHandler | undefined {
    return this.#handlers.get(stepName);
  }
}

/** Any task definition, whatever its types. */
export type AnyTaskDefinition = Pick<TaskDefinition, "name" | "spec" | "schema" | "handlerOf">;

/**
 * Begins the definition of a task.
 *
 * @param options.input a Standard Schema (zod, valibot, arktype, …) that checks inputs and gives them their type
 */
export function defineTask<Schema extends StandardSchemaV1>(
  options: TemplateName & { readonly input: Schema },
): TaskDefinition<
  StandardSchemaV1.InferInput<Schema>,
  Stored<StandardSchemaV1.InferOutput<Schema>>,
  Record<never, never>
>;
/** Begins the definition of a task whose input is not checked; its type is `Input`, if given. */
export function defineTask<Input = unknown>(
  options: TemplateName,
): TaskDefinition<Input, Stored<Input>, Record<never, never>>;
export function defineTask(options: TemplateName & { readonly input?: StandardSchemaV1 }): unknown {
  const { namespace, name, version, input } = options;
  return new TaskDefinition({ namespace, name, version }, input, [], new Map());
}
