import type {
  Backlog,
  BacklogParameters,
  BottleneckAnalysis,
  BottleneckParameters,
  CompareParameters,
  HealthCheck,
  PerformanceMetrics,
  PerformanceParameters,
  StepDetail,
  StepIdentity,
  StepParameters,
  TaskBody,
  Timeseries,
  TimeseriesParameters,
  VersionComparison,
} from "../http/api-types.ts";
import { UnreachableError } from "./errors.ts";
import { problemOf, reasonOf } from "./problems.ts";

export interface TaskerClientOptions {
  /** Where the API listens, as in `http://127.0.0.1:8080`; a path is kept in front of the API's own. */
  readonly baseUrl: string;
  /** Default: the global one. */
  readonly fetch?: typeof fetch;
}

/** What a request may carry beside its parameters. */
export interface RequestOptions {
  /** Ends the waiting. */
  readonly signal?: AbortSignal;
}

/** An answer of the analytics, and what its headers say of its age. */
export interface AnalyticsAnswer<Body> {
  readonly body: Body;
  /** The body as it was sent. */
  readonly text: string;
  /** Seconds since the answer was computed; 0 when it was computed for this request. */
  readonly age: number;
  /** Where it came from (RFC 9211), as in `tasker; hit; ttl=42`. */
  readonly cacheStatus: string;
  readonly etag: string | undefined;
}

/** A task to create. */
export interface NewTask {
  readonly namespace: string;
  readonly name: string;
  readonly version: string;
  readonly input: unknown;
  /** A second request under the same key returns the first one's task. */
  readonly idempotency_key?: string;
  readonly correlation_id?: string;
  readonly tags?: readonly string[];
  readonly priority?: number;
  /** RFC 3339. The task's steps do not run before. */
  readonly run_at?: string;
}

/** A task that was created, or that its idempotency key had created before. */
export interface CreatedTask {
  readonly id: string;
  readonly outcome: "created" | "existing";
}

/** What a server says of itself. */
export interface Health {
  readonly status: "healthy" | "unhealthy";
  readonly version: string;
  readonly checks: readonly HealthCheck[];
}

/**
 * A client of the HTTP API. Every method rejects with ApiError when the server refuses, and with UnreachableError when no
 * answer comes. The shapes of answers are the API's promise and are not checked again.
 */
export class TaskerClient {
  readonly #baseUrl: string;
  readonly #fetch: typeof fetch;

  constructor(options: TaskerClientOptions) {
    this.#baseUrl = options.baseUrl.replace(/\/+$/u, "");
    this.#fetch = options.fetch ?? fetch;
  }

  /** How much was done, how well and how fast. Parameters that are not given have the server's defaults. */
  performance(
    parameters: Partial<PerformanceParameters> = {},
    options?: RequestOptions,
  ): Promise<AnalyticsAnswer<PerformanceMetrics>> {
    return this.#analytics("performance", { ...parameters }, options);
  }

  /** Which steps and tasks are slow or fail. Parameters that are not given have the server's defaults. */
  bottlenecks(
    parameters: Partial<BottleneckParameters> = {},
    options?: RequestOptions,
  ): Promise<AnalyticsAnswer<BottleneckAnalysis>> {
    return this.#analytics("bottlenecks", { ...parameters }, options);
  }

  /** The figures bucket by bucket. Parameters that are not given have the server's defaults. */
  timeseries(
    parameters: Partial<TimeseriesParameters> = {},
    options?: RequestOptions,
  ): Promise<AnalyticsAnswer<Timeseries>> {
    return this.#analytics("timeseries", { ...parameters }, options);
  }

  /** What waits for workers now, namespace by namespace. */
  backlog(parameters: BacklogParameters = {}, options?: RequestOptions): Promise<AnalyticsAnswer<Backlog>> {
    return this.#analytics("backlog", { ...parameters }, options);
  }

  /** One step looked at closely. Rejects with an ApiError `not_found` when no template has it. */
  step(
    { namespace, task_name, version, step_name }: StepIdentity,
    parameters: Partial<Pick<StepParameters, "hours">> = {},
    options?: RequestOptions,
  ): Promise<AnalyticsAnswer<StepDetail>> {
    const path = [namespace, task_name, version, step_name].map(encodeURIComponent).join("/");
    return this.#analytics(`steps/${path}`, { ...parameters }, options);
  }

  /** Whether version `b` of a template is slower, or fails more, than `a`. Rejects with `not_found` when one is unknown. */
  compare(
    parameters: Omit<CompareParameters, "hours"> & Partial<Pick<CompareParameters, "hours">>,
    options?: RequestOptions,
  ): Promise<AnalyticsAnswer<VersionComparison>> {
    return this.#analytics("compare", { ...parameters }, options);
  }

  /** Creates a task of a registered template. */
  async createTask(task: NewTask, options?: RequestOptions): Promise<CreatedTask> {
    const headers = { "content-type": "application/json" };
    const { text } = await this.#ask("/v1/tasks", { method: "POST", headers, body: JSON.stringify(task) }, options);
    return JSON.parse(text) as CreatedTask;
  }

  /** A task as it stands, with its steps. */
  async task(id: string, options?: RequestOptions): Promise<TaskBody> {
    const { text } = await this.#ask(`/v1/tasks/${encodeURIComponent(id)}`, {}, options);
    return JSON.parse(text) as TaskBody;
  }

  /** The server's report of everything it depends on; an unhealthy one is an answer too. */
  async health(options?: RequestOptions): Promise<Health> {
    const { text } = await this.#ask("/v1/system/health", {}, options, [503]);
    return JSON.parse(text) as Health;
  }

  async #analytics<Body>(
    name: string,
    parameters: Readonly<Record<string, string | number | undefined>>,
    options?: RequestOptions,
  ): Promise<AnalyticsAnswer<Body>> {
    const query = new URLSearchParams();
    for (const [key, value] of Object.entries(parameters)) if (value !== undefined) query.set(key, String(value));
    const path = `/v1/analytics/${name}${query.size === 0 ? "" : `?${query.toString()}`}`;
    const { text, headers } = await this.#ask(path, {}, options);
    return {
      body: JSON.parse(text) as Body,
      text,
      age: Number(headers.get("age") ?? 0),
      cacheStatus: headers.get("cache-status") ?? "",
      etag: headers.get("etag") ?? undefined,
    };
  }

  /** @param expected statuses that are answers although they are not of success */
  async #ask(
    path: string,
    request: RequestInit,
    options: RequestOptions = {},
    expected: readonly number[] = [],
  ): Promise<{ readonly text: string; readonly headers: Headers }> {
    const url = this.#baseUrl + path;
    const { status, text, headers } = await this.#receive(url, { ...request, ...options });
    const isJson = /^application\/json\b/u.test(headers.get("content-type") ?? "");
    const isAnswer = (status >= 200 && status < 300) || expected.includes(status);
    if (!isAnswer || !isJson) throw problemOf(url, status, text, headers);
    return { text, headers };
  }

  async #receive(
    url: string,
    request: RequestInit,
  ): Promise<{ readonly status: number; readonly text: string; readonly headers: Headers }> {
    try {
      const response = await this.#fetch(url, request);
      return { status: response.status, text: await response.text(), headers: response.headers };
    } catch (error) {
      throw new UnreachableError(url, reasonOf(error), { cause: error });
    }
  }
}
