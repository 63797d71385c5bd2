import { randomUUID } from "node:crypto";
import type { Clock } from "../runtime/clock.ts";
import { Bulkhead } from "./bulkhead.ts";
import type { ConstrainedCache } from "./constraints.ts";
import { DecodedEnvelopes } from "./decoded-envelopes.ts";
import { type Envelope, encodeEnvelope, entityTag } from "./envelope.ts";
import { ComputeOverloadedError, ComputeTimeoutError } from "./errors.ts";
import type { CacheMetrics, CacheRequestResult } from "./metrics.ts";
import { type Landing, SingleFlight } from "./single-flight.ts";

export interface ReadThroughOptions {
  /** Of analytics only: sharing one read, as this does, is serving from memory, which templates must not do. */
  readonly cache: ConstrainedCache<"analytics">;
  /** What is computed, in a word, for errors. */
  readonly resource: string;
  readonly clock: Clock;
  readonly metrics: CacheMetrics;
  /** How long callers wait for a computation at most, waiting for its turn included. */
  readonly computeTimeoutMs: number;
  /** How long the source is left alone after it failed to compute a key. Default 1000. */
  readonly failurePauseMs?: number;
  /** Computations that run at once, so that an outage of the cache cannot multiply the source's load. Default 4. */
  readonly computationsMax?: number;
  /** Computations that wait for their turn; further ones are refused. Default 64. */
  readonly waitingMax?: number;
}

/** What the source has computed. */
export interface Computed {
  /** The whole answer as JSON text. It is sent and kept as it is. */
  readonly body: string;
  /** The source's time of the data, RFC 3339. */
  readonly computedAt: string;
  /** False when the answer must not be kept, as for a name that nobody knows. */
  readonly cacheable?: boolean;
}

export interface ReadOptions {
  /** How old an answer from the cache may be, counted from the beginning of its computation. */
  readonly ttlMs: number;
  /**
   * Asks the source. It must end soon after its signal aborts: until it does, it takes the place of another computation.
   * The signal is not the caller's, whose leaving stops nothing.
   */
  readonly compute: (signal: AbortSignal) => Promise<Computed>;
  /** False neither looks into the cache nor keeps the answer; concurrent callers still share one computation. */
  readonly cacheable?: boolean;
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
  /** How old the answer may become, all in all; 0 when it is not kept. */
  readonly ttlMs: number;
  readonly status: Exclude<CacheRequestResult, "paused">;
  readonly computedAt: string;
}

interface Outcome {
  readonly envelope: Envelope;
  readonly status: "hit" | "miss" | "uncached";
}

const failurePauseMsDefault = 1_000;
const computationsMaxDefault = 4;
const waitingMaxDefault = 64;
const failuresMax = 1_000;

/** Names this process in what it keeps. A pid would not do: containers share theirs, and a restart may get it again. */
const thisProcess = randomUUID();

/**
 * Reads one resource of the analytics through a cache (cache-aside): a hit is sent as the bytes that were kept; of the
 * callers that miss, one computes and the others share its answer or its failure.
 */
export class ReadThrough {
  readonly #cache: ConstrainedCache<"analytics">;
  readonly #clock: Clock;
  readonly #metrics: CacheMetrics;
  readonly #flights: SingleFlight<Outcome>;
  readonly #bulkhead: Bulkhead;
  readonly #decoded = new DecodedEnvelopes();

  constructor(options: ReadThroughOptions) {
    const { resource, clock, computeTimeoutMs, waitingMax = waitingMaxDefault } = options;
    this.#cache = options.cache;
    this.#clock = clock;
    this.#metrics = options.metrics;
    this.#flights = new SingleFlight({
      clock,
      timeoutMs: computeTimeoutMs,
      timedOut: () => new ComputeTimeoutError(resource, computeTimeoutMs),
      failurePauseMs: options.failurePauseMs ?? failurePauseMsDefault,
      isFailureOfSource: (error) => !(error instanceof ComputeOverloadedError),
      failuresMax,
    });
    this.#bulkhead = new Bulkhead({
      runningMax: options.computationsMax ?? computationsMaxDefault,
      waitingMax,
      overloaded: () => new ComputeOverloadedError(resource, waitingMax),
    });
  }

  /**
   * The answer from the cache when it is at most `ttlMs` old, else a computed one.
   *
   * Rejects with what the computation failed with, the same error for everyone who waited for it and for everyone who
   * asks within the pause after it; with {@link ComputeTimeoutError} or {@link ComputeOverloadedError}; and with the
   * reason of the caller's own signal. A failure of the cache is never a caller's.
   */
  async read(key: string, options: ReadOptions): Promise<Answer> {
    const { ttlMs, cacheable = true, signal } = options;
    const keeps = cacheable && this.#cache.enabled;
    const cached = keeps ? await this.#find(key, ttlMs) : undefined;
    if (cached !== undefined) {
      this.#count("hit");
      return this.#answer(cached, "hit", ttlMs);
    }
    const { role, value } = this.#flights.board(key, (deadline) => this.#compute(key, options, keeps, deadline));
    let result: CacheRequestResult = role === "paused" ? "paused" : "coalesced";
    if (role === "leader") result = keeps ? "miss" : "uncached";
    try {
      const outcome = await unlessAborted(value, signal);
      const status = role === "leader" ? outcome.status : "coalesced";
      result = status;
      return this.#answer(outcome.envelope, status, outcome.status === "uncached" ? 0 : ttlMs);
    } finally {
      this.#count(result);
    }
  }

  /** What the cache holds and is young enough. */
  async #find(key: string, ttlMs: number): Promise<Envelope | undefined> {
    const encoded = await this.#cache.peek(key);
    if (encoded === undefined) return undefined;
    const envelope = this.#decoded.decode(key, encoded);
    if (envelope === undefined) {
      this.#metrics.error(this.#cache.providerName, this.#cache.context, "undecodable");
      return undefined;
    }
    return this.#ageMs(envelope) <= ttlMs ? envelope : undefined;
  }

  async #compute(
    key: string,
    { ttlMs, compute }: ReadOptions,
    keeps: boolean,
    signal: AbortSignal,
  ): Promise<Landing<Outcome>> {
    // While this caller looked into the cache, another flight may have landed, stored its answer and been forgotten.
    const cached = keeps ? await this.#find(key, ttlMs) : undefined;
    if (cached !== undefined) return { value: { envelope: cached, status: "hit" }, stored: Promise.resolve() };

    return this.#bulkhead.run(signal, async () => {
      const begunMs = this.#clock.monotonicMs();
      const computed = await compute(signal);
      // Its callers have been told that it timed out; a later answer may already be in the cache.
      signal.throwIfAborted();
      const computeMs = this.#clock.monotonicMs() - begunMs;
      const body = Buffer.from(computed.body);
      const { computedAt } = computed;
      const etag = entityTag(body);
      const envelope = { computedAt, computeMs, freshMs: ttlMs, etag, body, process: thisProcess, begunMs };
      if (!keeps || computed.cacheable === false) {
        return { value: { envelope, status: "uncached" }, stored: Promise.resolve() };
      }
      return { value: { envelope, status: "miss" }, stored: this.#store(key, envelope, computed.body) };
    });
  }

  /** Never rejects. The data was as old as its computation took before it could be stored. */
  #store(key: string, envelope: Envelope, text: string): Promise<void> {
    const encoded = encodeEnvelope(envelope, text);
    this.#decoded.remember(key, encoded, envelope);
    return this.#cache.set(key, encoded, envelope.freshMs - envelope.computeMs);
  }

  /**
   * The one place where an age is determined. Of another process's answer nothing is known but that the cache still
   * holds it: it counts as being as old as it may become.
   */
  #ageMs(envelope: Envelope): number {
    return envelope.process === thisProcess ? this.#clock.monotonicMs() - envelope.begunMs : envelope.freshMs;
  }

  #answer(envelope: Envelope, status: Answer["status"], ttlMs: number): Answer {
    const { body, etag, computedAt } = envelope;
    return { body, etag, ageMs: this.#ageMs(envelope), ttlMs, status, computedAt };
  }

  #count(result: CacheRequestResult): void {
    this.#metrics.request(this.#cache.providerName, this.#cache.context, result);
  }
}

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
