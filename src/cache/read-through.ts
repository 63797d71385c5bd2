import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logging.ts";
import { AnswerProducer, type Computed, isFailureOfSource, type Outcome, type Wanted } from "./answer-producer.ts";
import { AnswerStore } from "./answer-store.ts";
import type { ConstrainedCache } from "./constraints.ts";
import type { Envelope } from "./envelope.ts";
import { ComputeTimeoutError } from "./errors.ts";
import type { FleetCache } from "./fleet.ts";
import { type Freshness, isDueForRefresh, keepMsOf, worthOf } from "./freshness.ts";
import type { CacheMetrics, CacheRequestResult, CountRequest } from "./metrics.ts";
import { type Boarding, type Landing, SingleFlight } from "./single-flight.ts";
import { SurvivedFailures } from "./survived-failures.ts";

export interface ReadThroughOptions {
  /** Of analytics only: sharing one read, as this does, is serving from memory, which templates must not do. */
  readonly cache: ConstrainedCache<"analytics">;
  /** What all processes share, behind `cache`; with it, one computation serves them all. */
  readonly fleet?: FleetCache | undefined;
  /** What is computed, in a word, for errors. */
  readonly resource: string;
  /** The clock of `cache` and `fleet`. Its monotonic time tells ages: `elapsedClock` for a machine that may sleep. */
  readonly clock: Clock;
  readonly metrics: CacheMetrics;
  readonly logger: Logger;
  /** How long callers wait for a computation at most, waiting for its turn and for other processes included. */
  readonly computeTimeoutMs: number;
  /** How long the source is left alone after it failed to compute a key. Default 1000. */
  readonly failurePauseMs?: number;
  /** How long another process that computes is waited for. Default: half of `computeTimeoutMs`. */
  readonly leaseWaitMs?: number;
  /** Computations that run at once, so that an outage of the cache cannot multiply the source's load. Default 4. */
  readonly computationsMax?: number;
  /** Computations that wait for their turn; further ones are refused. Default 64. */
  readonly waitingMax?: number;
  /** Uniform in [0, 1). Default `Math.random`. */
  readonly random?: () => number;
}

export interface ReadOptions extends Freshness {
  /**
   * Asks the source. It must end soon after its signal aborts: until it does, it takes the place of another computation.
   * The signal is not the caller's, whose leaving stops nothing.
   */
  readonly compute: (signal: AbortSignal) => Promise<Computed>;
  /** False neither looks into the cache nor keeps the answer; concurrent callers still share one computation. */
  readonly cacheable?: boolean;
  /** False for what nobody has asked for, as a warm start: it is no request in the metrics. Default true. */
  readonly counted?: boolean;
  /** The caller's own: when it aborts, the caller stops waiting and the computation goes on for the others. */
  readonly signal?: AbortSignal;
}

/** What a caller gets. */
export interface Answer {
  /** The bytes to send, the same object for all callers: never write to it. */
  readonly body: Buffer;
  /** The strong entity tag of the body, in quotes. */
  readonly etag: string;
  /** Since the beginning of the computation: the data is no older. */
  readonly ageMs: number;
  /** How long it is fresh, all in all; 0 when it is not kept, and then so are the next two. */
  readonly ttlMs: number;
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  readonly status: Exclude<CacheRequestResult, "paused" | "stale_if_error">;
  /** Whether it is sent only because the source fails: then it may be older than `ttlMs + staleWhileRevalidateMs`. */
  readonly staleIfError: boolean;
  /** Why the source was asked, by this caller or one that it joined: nothing was kept, it was too old, or nothing is ever kept. */
  readonly forwarded: "uri-miss" | "stale" | "bypass" | undefined;
  /** Whether an answer of the source has been kept in this process. */
  readonly stored: boolean;
  /** Who had the answer, as in "memory", when this caller found it. */
  readonly provider: string | undefined;
  readonly computedAt: string;
}

const failurePauseMsDefault = 1_000;
const computationsMaxDefault = 4;
const waitingMaxDefault = 64;
const failuresMax = 1_000;

/**
 * Reads one resource of the analytics through a cache (cache-aside): what this process has while it is fresh, else what the
 * fleet has, else computed by one process for all.
 *
 * By age an answer is *fresh* (sent; near its end one reader has the next one computed), *stale* (sent, and the next one is
 * computed), or *too old* (the reader waits for the next one, and gets the old one only when the source fails and it is
 * younger than `staleIfErrorMs`). Of the callers that wait, one computes and the others share its answer or its failure.
 */
export class ReadThrough {
  readonly #foundNear: Origin;
  readonly #foundLast: Origin;
  readonly #countNear: CountRequest;
  readonly #countLast: CountRequest;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #store: AnswerStore;
  readonly #producer: AnswerProducer;
  readonly #flights: SingleFlight<Outcome>;
  readonly #survived: SurvivedFailures;

  constructor(options: ReadThroughOptions) {
    const { resource, clock, computeTimeoutMs, cache, metrics, random = Math.random } = options;
    // A request counts for the provider that answered it; one that none could answer, for the last that was asked.
    const nearName = cache.providerName;
    const lastName = (options.fleet ?? cache).providerName;
    this.#foundNear = { ...found, provider: nearName };
    this.#foundLast = { ...found, provider: lastName };
    this.#countNear = metrics.requestsOf(nearName, cache.context);
    this.#countLast = metrics.requestsOf(lastName, cache.context);
    this.#clock = clock;
    this.#random = random;
    this.#store = new AnswerStore(options);
    this.#survived = new SurvivedFailures(options);
    const failurePauseMs = options.failurePauseMs ?? failurePauseMsDefault;
    this.#producer = new AnswerProducer({
      ...options,
      store: this.#store,
      failurePauseMs,
      leaseWaitMs: options.leaseWaitMs ?? computeTimeoutMs / 2,
      computationsMax: options.computationsMax ?? computationsMaxDefault,
      waitingMax: options.waitingMax ?? waitingMaxDefault,
      random,
    });
    this.#flights = new SingleFlight({
      clock,
      timeoutMs: computeTimeoutMs,
      timedOut: () => new ComputeTimeoutError(resource, computeTimeoutMs),
      failurePauseMs,
      isFailureOfSource,
      failuresMax,
    });
  }

  /**
   * The answer from the cache when it is fresh or stale, else a new one, else the last one while the source fails.
   *
   * Rejects with what the computation failed with, the same error for everyone who waited for it and for everyone who
   * asks within the pause after it; with {@link ComputeTimeoutError}, `ComputeOverloadedError` or
   * `ComputeFailedElsewhereError`; and with the reason of the caller's own signal. A failure of the cache is never a caller's.
   */
  read(key: string, options: ReadOptions): Promise<Answer> {
    const keeps = (options.cacheable ?? true) && this.#store.keeps;
    const nowMs = this.#clock.monotonicMs();
    const near = keeps ? this.#store.nearNow(key, nowMs) : undefined;
    const ageMs = near === undefined ? Number.POSITIVE_INFINITY : this.#store.ageMs(near, nowMs);
    if (near === undefined || worthOf(ageMs, options) !== "fresh") return this.#readOn(key, keeps, options);
    // Nearly all requests end here, without waiting for anything.
    if (this.#isDue(near, ageMs, options)) this.#refresh(key, { ...options, keeps, shares: true, known: near });
    if (options.counted !== false) this.#countNear("hit");
    return Promise.resolve(this.#answer(near, ageMs, "hit", options, this.#foundNear));
  }

  /** The same for what may have to be waited for. */
  async #readOn(key: string, keeps: boolean, options: ReadOptions): Promise<Answer> {
    const near = keeps && this.#store.keepsNear ? await this.#store.near(key) : undefined;
    const far = keeps && !this.#suffices(key, near, options) ? await this.#store.far(key) : undefined;
    const known = far?.envelope ?? near;
    const shares = far?.available ?? true;
    const ageMs = known === undefined ? Number.POSITIVE_INFINITY : this.#store.ageMs(known);
    const worth = worthOf(ageMs, options);
    if (known === undefined || worth === "nothing")
      return this.#wait(key, { ...options, keeps, shares, known }, options);
    if (worth === "stale" || this.#isDue(known, ageMs, options)) {
      this.#refresh(key, { ...options, keeps, shares, known });
    }
    const status = worth === "fresh" ? "hit" : "stale";
    const isNear = known === near;
    if (options.counted !== false) (isNear ? this.#countNear : this.#countLast)(status);
    return this.#answer(known, ageMs, status, options, isNear ? this.#foundNear : this.#foundLast);
  }

  /** Whether the fleet need not be asked: what this process has is fresh, or good until its successor, which is under way. */
  #suffices(key: string, near: Envelope | undefined, options: ReadOptions): boolean {
    if (this.#flights.isUnderway(key)) return true;
    return near !== undefined && worthOf(this.#store.ageMs(near), options) === "fresh";
  }

  #isDue(known: Envelope, ageMs: number, options: ReadOptions): boolean {
    return isDueForRefresh(ageMs, known.computeMs, options, this.#random);
  }

  /** Has the next answer computed, unless that is under way or the source is left alone. Nobody waits for it. */
  #refresh(key: string, wanted: Wanted): void {
    if (this.#flights.isUnderway(key)) return;
    const { role, value } = this.#board(key, wanted);
    if (role === "leader") value.catch((error: unknown) => this.#survived.failed(key, error));
  }

  #board(key: string, wanted: Wanted): Boarding<Outcome> {
    const run = async (signal: AbortSignal): Promise<Landing<Outcome>> => {
      const landing = await this.#producer.produce(key, wanted, signal);
      this.#survived.succeeded(key);
      return landing;
    };
    // An answer whose write hangs grows old meanwhile.
    const isGood = ({ envelope, status }: Outcome): boolean =>
      status === "uncached" || worthOf(this.#store.ageMs(envelope), wanted) !== "nothing";
    return this.#flights.board(key, run, isGood);
  }

  async #wait(
    key: string,
    wanted: Wanted,
    { signal: callerSignal, counted = true }: Pick<ReadOptions, "signal" | "counted">,
  ): Promise<Answer> {
    const { keeps, known } = wanted;
    const { role, value } = this.#board(key, wanted);
    const forwarded = forwardedFor(keeps, known);
    let count = this.#countLast;
    let result: CacheRequestResult = role === "paused" ? "paused" : "coalesced";
    if (role === "leader") result = keeps ? "miss" : "uncached";
    try {
      const outcome = await unlessAborted(value, callerSignal);
      const { envelope, stored } = outcome;
      const status = role === "leader" ? outcome.status : "coalesced";
      result = status;
      const origin = status === "hit" ? found : { forwarded, stored, provider: undefined };
      const freshness = outcome.status === "uncached" ? notKept : wanted;
      return this.#answer(envelope, this.#store.ageMs(envelope), status, freshness, origin);
    } catch (error) {
      // Whoever joined another's flight has not looked into the fleet; that one has, and keeps here what it found.
      const near = keeps && callerSignal?.aborted !== true ? await this.#store.near(key) : undefined;
      const last = keeps && callerSignal?.aborted !== true ? this.#last(near ?? known, wanted) : undefined;
      if (last === undefined) throw error;
      this.#survived.failed(key, error);
      result = "stale_if_error";
      if (near !== undefined) count = this.#countNear;
      const origin = role === "paused" ? found : { ...found, forwarded };
      return { ...this.#answer(last, this.#store.ageMs(last), "stale", wanted, origin), staleIfError: true };
    } finally {
      if (counted) count(result);
    }
  }

  /** The last answer, while it is young enough for a failing source. */
  #last(last: Envelope | undefined, freshness: Freshness): Envelope | undefined {
    return last !== undefined && this.#store.ageMs(last) <= keepMsOf(freshness) ? last : undefined;
  }

  #answer(
    envelope: Envelope,
    ageMs: number,
    status: Answer["status"],
    freshness: Freshness,
    { forwarded, stored, provider }: Origin,
  ): Answer {
    const { body, etag, computedAt } = envelope;
    const { ttlMs, staleWhileRevalidateMs = 0, staleIfErrorMs = 0 } = freshness;
    return {
      body,
      etag,
      ageMs,
      ttlMs,
      staleWhileRevalidateMs,
      staleIfErrorMs,
      staleIfError: false,
      status,
      forwarded,
      stored,
      provider,
      computedAt,
    };
  }
}

/** Where an answer comes from. */
type Origin = Pick<Answer, "forwarded" | "stored" | "provider">;

const found: Origin = Object.freeze({ forwarded: undefined, stored: false, provider: undefined });

function forwardedFor(keeps: boolean, known: Envelope | undefined): Answer["forwarded"] {
  if (!keeps) return "bypass";
  return known === undefined ? "uri-miss" : "stale";
}

const notKept: Freshness = Object.freeze({ ttlMs: 0 });

/** What the promise brings, or a rejection with the signal's reason as soon as that aborts. */
async function unlessAborted<Result>(promise: Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
  if (signal === undefined) return promise;
  signal.throwIfAborted();
  let leave: () => void = () => undefined;
  const left = new Promise<void>((resolve) => {
    leave = resolve;
  });
  signal.addEventListener("abort", leave, { once: true });
  try {
    await Promise.race([promise, left]);
    signal.throwIfAborted();
    return await promise;
  } finally {
    signal.removeEventListener("abort", leave);
  }
}
