import type { Computed } from "../../src/cache/answer-producer.ts";
import { type ConstrainedCache, ConstrainedCacheProvider } from "../../src/cache/constraints.ts";
import type { CacheHealth, CacheProvider, CacheReach, CacheUsageContext } from "../../src/cache/contract.ts";
import type { CacheMetrics } from "../../src/cache/metrics.ts";
import { MemoryCacheProvider } from "../../src/cache/providers/memory.ts";
import { type Answer, type ReadOptions, type ReadThroughOptions, ReadThrough } from "../../src/cache/read-through.ts";
import { type Logger, silentLogger } from "../../src/runtime/logging.ts";
import { ManualClock } from "../support/clock.ts";

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** A logger whose lines a test can read. */
export function recordingLogger(): { readonly logger: Logger; readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at =
    (level: string) =>
    (details: object, message = ""): void =>
      void lines.push({ level, message, details: { ...details } });
  return { lines, logger: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") } };
}

/** Metrics as counts by `provider/context/result` or reason. */
export class RecordingMetrics implements CacheMetrics {
  readonly requests: Record<string, number> = {};
  readonly errors: Record<string, number> = {};
  readonly computes = { ok: 0, failed: 0 };
  leaseWaits = 0;

  request(provider: string, context: CacheUsageContext, result: string): void {
    const name = `${provider}/${context}/${result}`;
    this.requests[name] = (this.requests[name] ?? 0) + 1;
  }

  requestsOf(provider: string, context: CacheUsageContext): (result: string) => void {
    return (result) => this.request(provider, context, result);
  }

  error(provider: string, context: CacheUsageContext, reason: string): void {
    const name = `${provider}/${context}/${reason}`;
    this.errors[name] = (this.errors[name] ?? 0) + 1;
  }

  computed(_provider: string, _context: CacheUsageContext, _seconds: number, result: "ok" | "failed"): void {
    this.computes[result] += 1;
  }

  leaseWaited(): void {
    this.leaseWaits += 1;
  }
}

type Operation = "get" | "set" | "delete" | "deletePattern" | "healthCheck" | "close";

/** The real thing, whose operations fail while their names are in `broken` and otherwise end after `hold` lets them. */
export class FaultyProvider<Reach extends CacheReach> implements CacheProvider<Reach> {
  readonly broken = new Set<Operation>();
  /** Called after the operation was done and before it returns. */
  hold: (operation: Operation) => Promise<void> = () => Promise.resolve();
  readonly name: string;
  readonly reach: Reach;
  readonly #inner: CacheProvider<Reach>;

  /** There when the wrapped one has its values at hand and `atHand` is set; `hold` cannot hold it. */
  readonly getNow?: (key: string, nowMs?: number) => string | undefined;

  constructor(inner: CacheProvider<Reach>, { atHand = false } = {}) {
    this.#inner = inner;
    if (atHand) this.getNow = (key, nowMs) => this.#passNow(() => inner.getNow?.(key, nowMs));
    this.name = inner.name;
    this.reach = inner.reach;
  }

  get(key: string): Promise<string | undefined> {
    return this.#pass("get", () => this.#inner.get(key));
  }

  set(key: string, value: string, ttlMs: number): Promise<void> {
    return this.#pass("set", () => this.#inner.set(key, value, ttlMs));
  }

  delete(key: string): Promise<void> {
    return this.#pass("delete", () => this.#inner.delete(key));
  }

  deletePattern(pattern: string): Promise<number> {
    return this.#pass("deletePattern", () => this.#inner.deletePattern(pattern));
  }

  healthCheck(): Promise<CacheHealth> {
    return this.#pass("healthCheck", () => this.#inner.healthCheck());
  }

  close(): Promise<void> {
    return this.#pass("close", () => this.#inner.close());
  }

  #passNow<Result>(inner: () => Result): Result {
    if (this.broken.has("get")) throw new Error("get is broken");
    return inner();
  }

  async #pass<Result>(operation: Operation, inner: () => Promise<Result>): Promise<Result> {
    if (this.broken.has(operation)) throw new Error(`${operation} is broken`);
    const result = await inner();
    await this.hold(operation);
    return result;
  }
}

/** A computation that a test ends when it likes. */
export interface Computation {
  readonly signal: AbortSignal;
  succeed(body: string, cacheable?: boolean): void;
  fail(error: unknown): void;
}

/** A source whose computations wait for the test. */
export class Source {
  readonly computations: Computation[] = [];

  compute = (signal: AbortSignal): Promise<Computed> =>
    new Promise((resolve, reject) => {
      this.computations.push({
        signal,
        succeed: (body, cacheable = true) => resolve({ body, computedAt: "2026-01-01T00:00:00.000000Z", cacheable }),
        fail: reject,
      });
    });

  get asked(): number {
    return this.computations.length;
  }

  /** The computation that was begun last. */
  get last(): Computation {
    const last = this.computations.at(-1);
    if (last === undefined) throw new Error("Nothing has been computed");
    return last;
  }
}

/** A read-through over real memory and a moved clock. */
export interface ReadThroughSystem {
  readonly clock: ManualClock;
  readonly metrics: RecordingMetrics;
  readonly provider: FaultyProvider<"process">;
  readonly cache: ConstrainedCache<"analytics">;
  readonly lines: readonly LogLine[];
  readonly readThrough: ReadThrough;
  readonly source: Source;
  /** Reads "k" for 60 seconds, unless told otherwise. */
  readonly read: (key?: string, options?: Partial<ReadOptions>) => Promise<Answer>;
  /** Reads and lets the source answer `body`, if it is asked. */
  readonly readNow: (body: string, key?: string, options?: Partial<ReadOptions>) => Promise<Answer>;
  /** Lets everything run that waits for nothing but promises. */
  readonly settle: () => Promise<void>;
}

export function readThroughSystem(
  options: Partial<ReadThroughOptions> = {},
  { atHand = false, machine: clock = new ManualClock() } = {},
): ReadThroughSystem {
  const metrics = new RecordingMetrics();
  const memory = new MemoryCacheProvider({ entriesMax: 100, bytesMax: 10_000_000 }, clock);
  const provider = new FaultyProvider(memory, { atHand });
  const { logger, lines } = recordingLogger();
  const cache = ConstrainedCacheProvider.create(provider, "analytics", { chosen: true, clock, logger, metrics });
  // A draw of 0 refreshes nothing ahead and shortens no time to live.
  const about = { cache, resource: "performance", clock, logger, metrics, computeTimeoutMs: 10_000, random: () => 0 };
  const readThrough = new ReadThrough({ ...about, ...options });
  const source = new Source();
  const settle = (): Promise<void> => clock.advance(0);
  const read = (key = "k", more: Partial<ReadOptions> = {}): Promise<Answer> =>
    readThrough.read(key, { ttlMs: 60_000, compute: source.compute, ...more });
  const readNow = async (body: string, key = "k", more: Partial<ReadOptions> = {}): Promise<Answer> => {
    const { asked } = source;
    const answer = read(key, more);
    await settle();
    if (source.asked > asked) source.last.succeed(body);
    return answer;
  };
  return { clock, metrics, provider, cache, lines, readThrough, source, read, readNow, settle };
}

/** For what nobody looks at. */
export const unheard = { clock: new ManualClock(), logger: silentLogger, metrics: new RecordingMetrics() };
