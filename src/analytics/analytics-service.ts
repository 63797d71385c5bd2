import type { CacheKeys } from "../cache/keys.ts";
import type { Freshness } from "../cache/freshness.ts";
import { type Answer, ReadThrough, type ReadThroughOptions } from "../cache/read-through.ts";
import { NotFoundError } from "../engine/errors.ts";
import type { AnalyticsQueryService, Queried } from "./analytics-query-service.ts";
import type { Backlog, BacklogParameters } from "./backlog.ts";
import {
  type AnalyticsFilter,
  type BottleneckParameters,
  checkParameters,
  defaultBottlenecks,
  defaultPerformance,
  type PerformanceParameters,
} from "./parameters.ts";
import { checkCompare, type CompareParameters, type VersionComparison } from "./compare.ts";
import type { StepParameters } from "./step-detail.ts";
import {
  checkHoursOfSeries,
  checkTimeseries,
  chosenBucket,
  defaultTimeseries,
  type TimeseriesParameters,
} from "./timeseries-parameters.ts";

export interface AnalyticsServiceOptions extends Pick<
  ReadThroughOptions,
  "cache" | "fleet" | "clock" | "metrics" | "computeTimeoutMs"
> {
  readonly queries: AnalyticsQueryService;
  readonly keys: CacheKeys;
  /** Answers to other than the default parameters are kept until they are not fresh any more. */
  readonly freshness: Freshness;
  /** Called with the time each computation took. */
  readonly onComputed: (resource: string, seconds: number) => void;
}

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
  readonly #performance: ReadThrough;
  readonly #bottlenecks: ReadThrough;
  readonly #timeseries: ReadThrough;
  readonly #backlog: ReadThrough;
  readonly #steps: ReadThrough;
  readonly #compare: ReadThrough;
  /** What everybody asks for: the only keys that are worth refreshing ahead of a reader, and keeping for bad times. */
  readonly #defaultKeys: ReadonlySet<string>;

  constructor(options: AnalyticsServiceOptions) {
    this.#options = options;
    // One each, so that slow answers of the one do not take the other's places.
    this.#performance = new ReadThrough({ ...options, resource: "performance" });
    this.#bottlenecks = new ReadThrough({ ...options, resource: "bottlenecks" });
    this.#timeseries = new ReadThrough({ ...options, resource: "timeseries" });
    this.#backlog = new ReadThrough({ ...options, resource: "backlog" });
    this.#steps = new ReadThrough({ ...options, resource: "steps" });
    this.#compare = new ReadThrough({ ...options, resource: "compare" });
    const { limit, min_executions } = defaultBottlenecks;
    this.#defaultKeys = new Set([
      options.keys.performance(defaultPerformance.hours),
      options.keys.bottlenecks(limit, min_executions),
    ]);
  }

  /** The PerformanceMetrics of a window. */
  async performance(parameters: PerformanceParameters): Promise<Answer> {
    checkParameters(parameters);
    const { hours, ...filter } = parameters;
    const key = this.#options.keys.performance(hours, filter, { ...defaultPerformance });
    return this.#read(this.#performance, key, "performance", filter, () =>
      this.#options.queries.performance(parameters),
    );
  }

  /** The BottleneckAnalysis of a window. */
  async bottlenecks(parameters: BottleneckParameters): Promise<Answer> {
    checkParameters(parameters);
    const { limit, min_executions, ...further } = parameters;
    const key = this.#options.keys.bottlenecks(limit, min_executions, further, { ...defaultBottlenecks });
    return this.#read(this.#bottlenecks, key, "bottlenecks", parameters, () =>
      this.#options.queries.bottlenecks(parameters),
    );
  }

  /** The Timeseries of a window. */
  async timeseries(parameters: TimeseriesParameters): Promise<Answer> {
    checkTimeseries(parameters);
    const question = { ...parameters, bucket: chosenBucket(parameters) };
    const { hours, ...further } = question;
    const defaults = { bucket: chosenBucket({ ...defaultTimeseries, hours }) };
    const key = this.#options.keys.analytics("timeseries", [hours], further, defaults);
    return this.#read(this.#timeseries, key, "timeseries", question, () => this.#options.queries.timeseries(question));
  }

  /** The Backlog of now: kept for a second, which is as old as an autoscaler may take it for now. */
  async backlog(parameters: BacklogParameters): Promise<Answer> {
    const key = this.#options.keys.analytics("backlog", [], { ...parameters });
    const query = (): Promise<Queried<Backlog>> => this.#options.queries.backlog(parameters);
    return this.#read(this.#backlog, key, "backlog", parameters, query, backlogTtlMs);
  }

  /**
   * The StepDetail of one step.
   *
   * @throws NotFoundError when no template has it
   */
  async step(parameters: StepParameters): Promise<Answer> {
    checkHoursOfSeries(parameters.hours);
    const { hours, ...step } = parameters;
    const key = this.#options.keys.analytics("steps", [hours], step);
    const answer = await this.#read(this.#steps, key, "steps", step, () => this.#options.queries.step(parameters));
    if (!isNothing(answer)) return answer;
    const { namespace, task_name, version, step_name } = step;
    throw new NotFoundError(`No template ${namespace}/${task_name} ${version} has a step ${step_name}`);
  }

  /**
   * The VersionComparison of two versions of a template.
   *
   * @throws NotFoundError when one of them is not registered
   */
  async compare(parameters: CompareParameters): Promise<Answer> {
    checkCompare(parameters);
    const { hours, ...names } = parameters;
    const key = this.#options.keys.analytics("compare", [hours], names);
    const query = (): Promise<Queried<VersionComparison | null>> => this.#options.queries.compare(parameters);
    const answer = await this.#read(this.#compare, key, "compare", names, query);
    if (!isNothing(answer)) return answer;
    const { namespace, task_name, a, b } = names;
    throw new NotFoundError(
      `There are no templates ${namespace}/${task_name} ${a} and ${b}: one of them, or both, are unknown`,
    );
  }

  async #read(
    through: ReadThrough,
    key: string,
    resource: string,
    filter: AnalyticsFilter & { readonly step_name?: string | undefined },
    query: () => Promise<Queried<{ readonly calculated_at: string } | null>>,
    ttlMs: number = Number.POSITIVE_INFINITY,
  ): Promise<Answer> {
    const { clock, onComputed, freshness } = this.#options;
    const isFiltered = [filter.namespace, filter.task_name, filter.version, filter.step_name].some(
      (name) => name !== undefined,
    );
    return through.read(key, {
      ...(this.#defaultKeys.has(key) ? freshness : { ttlMs: Math.min(ttlMs, freshness.ttlMs) }),
      compute: async () => {
        const startedMs = clock.monotonicMs();
        const { answer, identitiesKnown } = await query();
        onComputed(resource, (clock.monotonicMs() - startedMs) / 1000);
        // A name that nobody registered must not fill the cache: anybody can make up names.
        const cacheable = answer !== null && (!isFiltered || identitiesKnown);
        return { body: JSON.stringify(answer), computedAt: answer?.calculated_at ?? "", cacheable };
      },
    });
  }
}

/** Whether there is nothing under the names that were asked for; such an answer is never kept. */
function isNothing({ body }: Answer): boolean {
  return body.length === nothing.length && body.toString() === nothing;
}

const nothing = JSON.stringify(null);
