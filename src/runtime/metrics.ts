import * as prometheus from "prom-client";

/** A label value for each of the metric's labels; no argument at all when it has none. */
type Labels<Label extends string> = [Label] extends [never] ? [] : [labels: Readonly<Record<Label, string>>];

/** Only grows. */
export interface Counter<Label extends string = never> {
  add(count: number, ...labels: Labels<Label>): void;
}

/** A counter of what happens so often that looking at its labels each time would show. */
export interface HotCounter<Label extends string = never> extends Counter<Label> {
  /** Counts one with each call of it, with these labels. */
  bound(...labels: Labels<Label>): () => void;
}

/** Goes up and down. */
export interface Gauge<Label extends string = never> {
  set(value: number, ...labels: Labels<Label>): void;
}

/** Counts observations in buckets. */
export interface Histogram<Label extends string = never> {
  observe(value: number, ...labels: Labels<Label>): void;
}

/** Every metric of the system. Recording never throws: a metric that fails must not fail what it measures. */
export interface Metrics {
  /** Completions that came after the lease of their attempt was lost and so were not recorded. */
  readonly lateCompletions: Counter;
  readonly cacheRequests: HotCounter<"provider" | "context" | "result">;
  /** Cache failures that were survived, by reason. */
  readonly cacheErrors: Counter<"provider" | "context" | "reason">;
  /** How often the source was asked for what a cache did not have. */
  readonly cacheComputes: Counter<"provider" | "context" | "result">;
  readonly cacheComputeSeconds: Histogram<"provider" | "context">;
  /** Computations of another process that were waited for. */
  readonly cacheLeaseWaits: Counter<"provider" | "context">;
  readonly cacheEntries: Gauge<"provider" | "context">;
  readonly cacheBytes: Gauge<"provider" | "context">;
  /** Values that made room for others. */
  readonly cacheEvictions: Counter<"provider" | "context">;
  /** Values that were too large to keep. */
  readonly cacheRefused: Counter<"provider" | "context">;
  /** 1 while the provider is used, 0 while it is not because it does not work. */
  readonly cacheServing: Gauge<"provider" | "context">;
  /** Time to compute an analytics answer from the database. */
  readonly analyticsComputeSeconds: Histogram<"resource">;
  /** Answers that the replica gave. */
  readonly analyticsReplicaAnswers: Counter;
  /** Answers that the primary gave instead of the replica, by reason. */
  readonly analyticsReplicaFallbacks: Counter<"reason">;
  /** How far the replica was behind when it was asked last. */
  readonly analyticsReplicaLagSeconds: Gauge;
  /** `route` is the route's pattern, never the path that was asked: paths are unbounded. */
  readonly httpRequests: Counter<"route" | "status">;
  /** Answers that were compressed, by content coding and by whether that went well. */
  readonly httpCompressions: Counter<"coding" | "result">;
  /** Rows that the fold has moved into the rollups. */
  readonly foldRows: Counter;
  /** Since the last fold of any process, as the health was looked at last. */
  readonly foldBehindSeconds: Gauge;
  /** Transactions that the last fold found open, and whose rows it left. */
  readonly foldOpenTransactions: Gauge;
  /** How long the oldest writing transaction of the cluster has been open; 0 when there is none. */
  readonly foldOldestTransactionSeconds: Gauge;
  /** Rows in partitions of last resort; there should be none. */
  readonly defaultPartitionRows: Gauge;
  /** Has `collect` called before each exposition, for what is measured only when somebody looks. A failure of it is counted. */
  beforeExposition(collect: () => Promise<void>): void;
  /** The text that Prometheus scrapes, and its content type. */
  exposition(): Promise<{ readonly contentType: string; readonly body: string }>;
}

const providerLabels: ("provider" | "context")[] = ["provider", "context"];

const computeBucketsSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Creates the metrics of one process, in a registry of their own (the host application's default registry stays clean). */
export function createMetrics(): Metrics {
  const registry = new prometheus.Registry();
  const factory = new MetricFactory(registry);
  const collectors: (() => Promise<void>)[] = [];
  return Object.freeze({
    lateCompletions: factory.counter(
      "tasker_late_completions_total",
      "Completions that came after their lease was lost",
    ),
    cacheRequests: factory.counter("tasker_cache_requests_total", "Cache requests by result", [
      "provider",
      "context",
      "result",
    ]),
    cacheErrors: factory.counter("tasker_cache_errors_total", "Cache failures that were survived", [
      "provider",
      "context",
      "reason",
    ]),
    cacheComputes: factory.counter("tasker_cache_computes_total", "Computations for caches", [
      "provider",
      "context",
      "result",
    ]),
    cacheComputeSeconds: factory.histogram(
      "tasker_cache_compute_seconds",
      "Time to compute what a cache did not have",
      computeBucketsSeconds,
      ["provider", "context"],
    ),
    cacheLeaseWaits: factory.counter("tasker_cache_lease_waits_total", "Computations of other processes waited for", [
      "provider",
      "context",
    ]),
    cacheEntries: factory.gauge("tasker_cache_entries", "Values in a cache, expired ones included", providerLabels),
    cacheBytes: factory.gauge("tasker_cache_bytes", "Bytes in a cache", providerLabels),
    cacheEvictions: factory.counter("tasker_cache_evictions_total", "Values that made room for others", providerLabels),
    cacheRefused: factory.counter("tasker_cache_refused_total", "Values that were too large to keep", providerLabels),
    cacheServing: factory.gauge("tasker_cache_serving", "Whether the provider of a cache is used", providerLabels),
    analyticsComputeSeconds: factory.histogram(
      "tasker_analytics_compute_seconds",
      "Time to compute an analytics answer from the database",
      computeBucketsSeconds,
      ["resource"],
    ),
    analyticsReplicaAnswers: factory.counter(
      "tasker_analytics_replica_answers_total",
      "Analytics answers that the replica gave",
    ),
    analyticsReplicaFallbacks: factory.counter(
      "tasker_analytics_replica_fallbacks_total",
      "Analytics answers that the primary gave instead of the replica",
      ["reason"],
    ),
    analyticsReplicaLagSeconds: factory.gauge(
      "tasker_analytics_replica_lag_seconds",
      "How far the replica was behind when it was asked last",
    ),
    httpRequests: factory.counter("tasker_http_requests_total", "HTTP requests by route and status", [
      "route",
      "status",
    ]),
    httpCompressions: factory.counter("tasker_http_compressions_total", "Answers compressed by content coding", [
      "coding",
      "result",
    ]),
    foldRows: factory.counter("tasker_fold_rows_total", "Rows folded into the rollups"),
    foldBehindSeconds: factory.gauge(
      "tasker_fold_behind_seconds",
      "Time since the last fold, when the health was looked at last",
    ),
    foldOpenTransactions: factory.gauge(
      "tasker_fold_open_transactions",
      "Transactions whose rows the last fold left because they were open",
    ),
    foldOldestTransactionSeconds: factory.gauge(
      "tasker_fold_oldest_transaction_seconds",
      "How long the oldest writing transaction of the cluster has been open",
    ),
    defaultPartitionRows: factory.gauge(
      "tasker_default_partition_rows",
      "Rows outside the daily partitions; there should be none",
    ),
    beforeExposition: (collect) => void collectors.push(collect),
    async exposition() {
      await Promise.all(collectors.map((collect) => factory.survive(collect)));
      factory.writeSums();
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  } satisfies Metrics);
}

/** Makes metrics in one registry whose recording cannot throw. */
class MetricFactory {
  readonly #registry: prometheus.Registry;
  readonly #failures: prometheus.Counter;
  readonly #counters: { write(): void }[] = [];

  constructor(registry: prometheus.Registry) {
    this.#registry = registry;
    this.#failures = new prometheus.Counter({
      name: "tasker_metric_failures_total",
      help: "Recordings that failed and were dropped",
      registers: [registry],
    });
  }

  counter<Label extends string = never>(name: string, help: string, labelNames: Label[] = []): HotCounter<Label> {
    const metric = new prometheus.Counter<string>({ name, help, labelNames, registers: [this.#registry] });
    const write = (sum: number, labels: Given): void => this.#record(sum, () => metric.inc(labels, sum));
    const counter = new SummedCounter(labelNames, write);
    this.#counters.push(counter);
    return {
      add: (count, ...[labels = {}]) => counter.add(count, labels),
      bound: (...[labels = {}]) => counter.bound(labels),
    };
  }

  /** Hands over what counters have summed up since the last time. */
  writeSums(): void {
    for (const counter of this.#counters) counter.write();
  }

  gauge<Label extends string = never>(name: string, help: string, labelNames: Label[] = []): Gauge<Label> {
    const metric = new prometheus.Gauge({ name, help, labelNames, registers: [this.#registry] });
    return { set: (value, ...[labels = {}]) => this.#record(value, () => metric.set(labels, value)) };
  }

  histogram<Label extends string = never>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: Label[] = [],
  ): Histogram<Label> {
    const metric = new prometheus.Histogram({ name, help, buckets, labelNames, registers: [this.#registry] });
    return { observe: (value, ...[labels = {}]) => this.#record(value, () => metric.observe(labels, value)) };
  }

  async survive(collect: () => Promise<void>): Promise<void> {
    try {
      await collect();
    } catch {
      this.#failures.inc();
    }
  }

  /**
   * prom-client throws on an unknown label or a counter that would fall; the caller's work is worth more than that.
   * NaN it takes, and a counter that once added it stays NaN for good.
   */
  #record(value: number, write: () => void): void {
    try {
      if (Number.isFinite(value)) write();
      else this.#failures.inc();
    } catch {
      this.#failures.inc();
    }
  }
}

type Given = Readonly<Partial<Record<string, string>>>;

/** What was counted since it was last handed over. */
interface Sum {
  sum: number;
  readonly labels: Given;
}

/**
 * Sums up what a counter is given until somebody looks: prom-client's own adding, with labels, costs as much as the rest of
 * what an answer from the cache is counted with.
 */
class SummedCounter {
  readonly #labelNames: readonly string[];
  readonly #write: (sum: number, labels: Given) => void;
  readonly #sums = new Map<string, Sum>();

  constructor(labelNames: readonly string[], write: (sum: number, labels: Given) => void) {
    this.#labelNames = labelNames;
    this.#write = write;
  }

  add(count: number, labels: Given): void {
    // What must fail does so by itself, and takes nothing with it.
    if (!(count >= 0 && count < Infinity)) {
      this.#write(count, labels);
      return;
    }
    this.#sumOf(labels).sum += count;
  }

  bound(labels: Given): () => void {
    // Nothing is shown before something was counted.
    let known: Sum | undefined;
    return () => {
      known ??= this.#sumOf(labels);
      known.sum += 1;
    };
  }

  write(): void {
    for (const known of this.#sums.values()) {
      const { sum, labels } = known;
      known.sum = 0;
      this.#write(sum, labels);
    }
  }

  #sumOf(labels: Given): Sum {
    let key = "";
    for (const name of this.#labelNames) key += `${labels[name]}\n`;
    let known = this.#sums.get(key);
    if (known === undefined) {
      known = { sum: 0, labels };
      this.#sums.set(key, known);
    }
    return known;
  }
}
