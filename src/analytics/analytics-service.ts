import type { CacheKeys } from "../cache/keys.ts";
import type { Freshness } from "../cache/freshness.ts";
import type { Computed } from "../cache/answer-producer.ts";
import { type Answer, type ReadOptions, ReadThrough, type ReadThroughOptions } from "../cache/read-through.ts";
import type { Queried } from "./analytics-query-service.ts";
import {
  type BottleneckParameters,
  checkParameters,
  defaultBottlenecks,
  defaultPerformance,
  type PerformanceParameters,
} from "./parameters.ts";
import { type Question, Questions } from "./questions.ts";

/** Computes the answers: the {@link AnalyticsQueryService}. */
export interface AnalyticsQueries {
  performance(parameters: PerformanceParameters): Promise<Queried<AnyAnswer>>;
  bottlenecks(parameters: BottleneckParameters): Promise<Queried<AnyAnswer>>;
}

interface AnyAnswer {
  readonly calculated_at: string;
}

export interface AnalyticsServiceOptions extends Pick<
  ReadThroughOptions,
  "cache" | "fleet" | "clock" | "metrics" | "logger" | "computeTimeoutMs"
> {
  readonly queries: AnalyticsQueries;
  readonly keys: CacheKeys;
  /** Answers to other than the default parameters are kept until they are not fresh any more. */
  readonly freshness: Freshness;
  /** Called with the time each computation took. */
  readonly onComputed: (resource: string, seconds: number) => void;
}

/** Who asks: leaves when the signal aborts, and counts as a request unless nobody has asked. */
export type Asking = Pick<ReadOptions, "counted" | "signal">;

/**
 * The analytics, cache-aside: knows keys and times to live, and no SQL.
 *
 * Answers are the JSON bytes to send. Rejects with InvalidParameterError for a parameter out of range, and with what the
 * database failed with when there is no answer; a failure of the cache is never seen.
 */
export class AnalyticsService {
  readonly #options: AnalyticsServiceOptions;
  readonly #performance: Resource<PerformanceParameters>;
  readonly #bottlenecks: Resource<BottleneckParameters>;

  constructor(options: AnalyticsServiceOptions) {
    this.#options = options;
    const { keys, queries } = options;
    // One read-through each, so that slow answers of the one do not take the other's places.
    this.#performance = {
      name: "performance",
      through: new ReadThrough({ ...options, resource: "performance" }),
      questions: new Questions((parameters) => this.#question(this.#performance, parameters)),
      copy: ({ hours, namespace, task_name, version }) => ({ hours, namespace, task_name, version }),
      keyOf: ({ hours, ...filter }) => keys.performance(hours, filter, { ...defaultPerformance }),
      defaultKey: keys.performance(defaultPerformance.hours),
      query: (parameters) => queries.performance(parameters),
    };
    this.#bottlenecks = {
      name: "bottlenecks",
      through: new ReadThrough({ ...options, resource: "bottlenecks" }),
      questions: new Questions((parameters) => this.#question(this.#bottlenecks, parameters)),
      copy: ({ limit, min_executions, hours, sort, namespace, task_name, version }) => ({
        limit,
        min_executions,
        hours,
        sort,
        namespace,
        task_name,
        version,
      }),
      keyOf: ({ limit, min_executions, ...further }) =>
        keys.bottlenecks(limit, min_executions, further, { ...defaultBottlenecks }),
      defaultKey: keys.bottlenecks(defaultBottlenecks.limit, defaultBottlenecks.min_executions),
      query: (parameters) => queries.bottlenecks(parameters),
    };
  }

  /** The PerformanceMetrics of a window. Parameters that are frozen, and the same object as before, are checked once. */
  performance(parameters: PerformanceParameters, asking?: Asking): Promise<Answer> {
    return ask(this.#performance, parameters, asking);
  }

  /** The BottleneckAnalysis of a window. Parameters that are frozen, and the same object as before, are checked once. */
  bottlenecks(parameters: BottleneckParameters, asking?: Asking): Promise<Answer> {
    return ask(this.#bottlenecks, parameters, asking);
  }

  /** @throws InvalidParameterError */
  #question<Parameters extends PerformanceParameters | BottleneckParameters>(
    { name, copy, keyOf, defaultKey, query }: Resource<Parameters>,
    given: Parameters,
  ): Question {
    checkParameters(given);
    // The computation may begin after the caller has changed its own.
    const parameters = copy(given);
    const { clock, onComputed, freshness } = this.#options;
    const key = keyOf(parameters);
    const isFiltered = [parameters.namespace, parameters.task_name, parameters.version].some(
      (one) => one !== undefined,
    );
    const compute = async (): Promise<Computed> => {
      const startedMs = clock.monotonicMs();
      const { answer, identitiesKnown } = await query(parameters);
      onComputed(name, (clock.monotonicMs() - startedMs) / 1000);
      // A name that nobody registered must not fill the cache: anybody can make up names.
      const cacheable = !isFiltered || identitiesKnown;
      return { body: JSON.stringify(answer), computedAt: answer.calculated_at, cacheable };
    };
    // What everybody asks for is all that is worth refreshing ahead of a reader, and keeping for bad times.
    return { key, options: { ...(key === defaultKey ? freshness : { ttlMs: freshness.ttlMs }), compute } };
  }
}

/** One kind of answer. */
interface Resource<Parameters extends object> {
  readonly name: string;
  readonly through: ReadThrough;
  readonly questions: Questions<Parameters>;
  /** Whatever the caller's is: a class instance, an heir of another object. */
  readonly copy: (given: Parameters) => Parameters;
  readonly keyOf: (parameters: Parameters) => string;
  readonly defaultKey: string;
  readonly query: (parameters: Parameters) => Promise<Queried<AnyAnswer>>;
}

function ask<Parameters extends object>(
  resource: Resource<Parameters>,
  parameters: Parameters,
  asking: Asking | undefined,
): Promise<Answer> {
  const known = resource.questions.known(parameters);
  return known === undefined ? askFirst(resource, parameters, asking) : read(resource, known, asking);
}

async function askFirst<Parameters extends object>(
  resource: Resource<Parameters>,
  parameters: Parameters,
  asking: Asking | undefined,
): Promise<Answer> {
  return read(resource, resource.questions.prepare(parameters), asking);
}

function read(
  { through }: Pick<Resource<never>, "through">,
  { key, options }: Question,
  asking: Asking | undefined,
): Promise<Answer> {
  return through.read(key, asking === undefined ? options : { ...options, ...asking });
}
