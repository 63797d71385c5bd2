import type { CacheKeys } from "../cache/keys.ts";
import type { Freshness } from "../cache/freshness.ts";
import type { Computed } from "../cache/answer-producer.ts";
import { type Answer, type ReadOptions, ReadThrough, type ReadThroughOptions } from "../cache/read-through.ts";
import type { Queried } from "./analytics-query-service.ts";
import {
  type AnalyticsFilter,
  type BottleneckParameters,
  checkParameters,
  defaultBottlenecks,
  defaultPerformance,
  type PerformanceParameters,
} from "./parameters.ts";
import { NotFoundError } from "../engine/errors.ts";
import type { BacklogParameters } from "./backlog.ts";
import { checkCompare, type CompareParameters } from "./compare.ts";
import { type Question, Questions } from "./questions.ts";
import type { StepParameters } from "./step-detail.ts";
import type { TimeseriesQuestion } from "./timeseries.ts";
import {
  checkHoursOfSeries,
  checkTimeseries,
  chosenBucket,
  defaultTimeseries,
  type TimeseriesParameters,
} from "./timeseries-parameters.ts";

/** Computes the answers: the {@link AnalyticsQueryService}. */
export interface AnalyticsQueries {
  performance(parameters: PerformanceParameters): Promise<Queried<AnyAnswer>>;
  bottlenecks(parameters: BottleneckParameters): Promise<Queried<AnyAnswer>>;
  timeseries(question: TimeseriesQuestion): Promise<Queried<AnyAnswer>>;
  backlog(parameters: BacklogParameters): Promise<Queried<AnyAnswer>>;
  /** Null when there is nothing of these names. */
  step(parameters: StepParameters): Promise<Queried<AnyAnswer | null>>;
  compare(parameters: CompareParameters): Promise<Queried<AnyAnswer | null>>;
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

/** No answer about the present is older. */
const backlogTtlMs = 1000;

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
  readonly #timeseries: Resource<TimeseriesParameters>;
  readonly #backlog: Resource<BacklogParameters>;
  readonly #steps: Resource<StepParameters>;
  readonly #compare: Resource<CompareParameters>;

  constructor(options: AnalyticsServiceOptions) {
    this.#options = options;
    const { keys, queries } = options;
    this.#performance = this.#resource<PerformanceParameters>({
      name: "performance",
      check: checkParameters,
      copy: ({ hours, namespace, task_name, version }) => ({ hours, namespace, task_name, version }),
      keyOf: ({ hours, ...filter }) => keys.performance(hours, filter, { ...defaultPerformance }),
      defaultKey: keys.performance(defaultPerformance.hours),
      query: (parameters) => queries.performance(parameters),
    });
    this.#bottlenecks = this.#resource<BottleneckParameters>({
      name: "bottlenecks",
      check: checkParameters,
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
    });
    this.#timeseries = this.#resource<TimeseriesParameters>({
      name: "timeseries",
      check: checkTimeseries,
      copy: ({ hours, bucket, namespace, task_name, version, step_name }) => ({
        hours,
        bucket: chosenBucket({ hours, bucket }),
        namespace,
        task_name,
        version,
        step_name,
      }),
      keyOf: ({ hours, ...further }) =>
        keys.analytics("timeseries", [hours], further, { bucket: chosenBucket({ ...defaultTimeseries, hours }) }),
      query: (parameters) => queries.timeseries({ ...parameters, bucket: chosenBucket(parameters) }),
    });
    this.#backlog = this.#resource<BacklogParameters>({
      name: "backlog",
      check: () => undefined,
      copy: ({ namespace }) => ({ namespace }),
      keyOf: (parameters) => keys.analytics("backlog", [], { ...parameters }),
      ttlMs: backlogTtlMs,
      query: (parameters) => queries.backlog(parameters),
    });
    this.#steps = this.#resource<StepParameters>({
      name: "steps",
      check: ({ hours }) => checkHoursOfSeries(hours),
      copy: ({ hours, namespace, task_name, version, step_name }) => ({
        hours,
        namespace,
        task_name,
        version,
        step_name,
      }),
      keyOf: ({ hours, ...step }) => keys.analytics("steps", [hours], step),
      query: (parameters) => queries.step(parameters),
    });
    this.#compare = this.#resource<CompareParameters>({
      name: "compare",
      check: checkCompare,
      copy: ({ hours, namespace, task_name, a, b }) => ({ hours, namespace, task_name, a, b }),
      keyOf: ({ hours, ...names }) => keys.analytics("compare", [hours], names),
      query: (parameters) => queries.compare(parameters),
    });
  }

  /** The PerformanceMetrics of a window. Parameters that are frozen, and the same object as before, are checked once. */
  performance(parameters: PerformanceParameters, asking?: Asking): Promise<Answer> {
    return ask(this.#performance, parameters, asking);
  }

  /** The BottleneckAnalysis of a window. Parameters that are frozen, and the same object as before, are checked once. */
  bottlenecks(parameters: BottleneckParameters, asking?: Asking): Promise<Answer> {
    return ask(this.#bottlenecks, parameters, asking);
  }

  /** The Timeseries of a window. */
  timeseries(parameters: TimeseriesParameters, asking?: Asking): Promise<Answer> {
    return ask(this.#timeseries, parameters, asking);
  }

  /** The Backlog of now, kept for a second. */
  backlog(parameters: BacklogParameters, asking?: Asking): Promise<Answer> {
    return ask(this.#backlog, parameters, asking);
  }

  /** The StepDetail of one step. Rejects with NotFoundError when no template has it. */
  async step(parameters: StepParameters, asking?: Asking): Promise<Answer> {
    const { namespace, task_name, version, step_name } = parameters;
    const missing = `No template ${namespace}/${task_name} ${version} has a step ${step_name}`;
    return found(await ask(this.#steps, parameters, asking), missing);
  }

  /** The VersionComparison of two versions of a template. Rejects with NotFoundError when one is not registered. */
  async compare(parameters: CompareParameters, asking?: Asking): Promise<Answer> {
    const { namespace, task_name, a, b } = parameters;
    const missing = `There are no templates ${namespace}/${task_name} ${a} and ${b}: one of them, or both, are unknown`;
    return found(await ask(this.#compare, parameters, asking), missing);
  }

  /** With a read-through of its own, so that slow answers of one resource do not take another's places. */
  #resource<Parameters extends Names>(kind: ResourceKind<Parameters>): Resource<Parameters> {
    const through = new ReadThrough({ ...this.#options, resource: kind.name });
    return { through, questions: new Questions((parameters) => this.#question(kind, parameters)) };
  }

  /** @throws InvalidParameterError */
  #question<Parameters extends Names>(
    { name, check, copy, keyOf, defaultKey, ttlMs, query }: ResourceKind<Parameters>,
    given: Parameters,
  ): Question {
    check(given);
    // The computation may begin after the caller has changed its own.
    const parameters = copy(given);
    const { clock, onComputed, freshness } = this.#options;
    const key = keyOf(parameters);
    const { namespace, task_name, version, step_name }: Names = parameters;
    const isFiltered = [namespace, task_name, version, step_name].some((one) => one !== undefined);
    const compute = async (): Promise<Computed> => {
      const startedMs = clock.monotonicMs();
      const { answer, identitiesKnown } = await query(parameters);
      onComputed(name, (clock.monotonicMs() - startedMs) / 1000);
      // A name that nobody registered must not fill the cache: anybody can make up names.
      const cacheable = answer !== null && (!isFiltered || identitiesKnown);
      return { body: JSON.stringify(answer), computedAt: answer?.calculated_at ?? "", cacheable };
    };
    // What everybody asks for is all that is worth refreshing ahead of a reader, and keeping for bad times.
    const kept = { ttlMs: Math.min(ttlMs ?? Number.POSITIVE_INFINITY, freshness.ttlMs) };
    return { key, options: { ...(key === defaultKey ? freshness : kept), compute } };
  }
}

/** What parameters may name. */
interface Names extends AnalyticsFilter {
  readonly step_name?: string | undefined;
}

/** One kind of answer, and what has been asked of it. */
interface Resource<Parameters extends object> {
  readonly through: ReadThrough;
  readonly questions: Questions<Parameters>;
}

interface ResourceKind<Parameters extends object> {
  readonly name: string;
  /** @throws InvalidParameterError */
  readonly check: (given: Parameters) => void;
  /** Whatever the caller's is: a class instance, an heir of another object. */
  readonly copy: (given: Parameters) => Parameters;
  readonly keyOf: (parameters: Parameters) => string;
  /** Of what everybody asks for. */
  readonly defaultKey?: string;
  /** Default: as long as all are fresh; never longer. */
  readonly ttlMs?: number;
  readonly query: (parameters: Parameters) => Promise<Queried<AnyAnswer | null>>;
}

const nothing = JSON.stringify(null);

/** @throws NotFoundError when there is nothing under the names that were asked for; such an answer is never kept */
function found(answer: Answer, missing: string): Answer {
  const { body } = answer;
  if (body.length === nothing.length && body.toString() === nothing) throw new NotFoundError(missing);
  return answer;
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
