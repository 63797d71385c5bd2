import type { Clock } from "../runtime/clock.ts";
import { type AnswerStore, thisProcess } from "./answer-store.ts";
import { Bulkhead } from "./bulkhead.ts";
import type { ConstrainedCache } from "./constraints.ts";
import { type Envelope, entityTag } from "./envelope.ts";
import { ComputeFailedElsewhereError, ComputeOverloadedError } from "./errors.ts";
import type { FleetCache } from "./fleet.ts";
import { agree, type Agreement, type FleetLease } from "./fleet-lease.ts";
import { type Freshness, spreadKeepMs, worthOf } from "./freshness.ts";
import type { CacheMetrics } from "./metrics.ts";
import type { Landing } from "./single-flight.ts";

/** What the source has computed. */
export interface Computed {
  /** The whole answer as JSON text. It is sent and kept as it is. */
  readonly body: string;
  /** The source's time of the data, RFC 3339. */
  readonly computedAt: string;
  /** False when the answer must not be kept, as for a name that nobody knows. */
  readonly cacheable?: boolean;
}

export interface AnswerProducerOptions {
  readonly store: AnswerStore;
  readonly cache: ConstrainedCache<"analytics">;
  readonly fleet?: FleetCache | undefined;
  readonly resource: string;
  readonly clock: Clock;
  readonly metrics: CacheMetrics;
  /** How long the source is left alone, by all processes, after it failed to compute a key. */
  readonly failurePauseMs: number;
  /** How long another process is waited for. */
  readonly leaseWaitMs: number;
  readonly computationsMax: number;
  readonly waitingMax: number;
  readonly random: () => number;
}

/** What is wanted: an answer that is newer than `known`, or any when there is none. */
export interface Wanted extends Freshness {
  readonly compute: (signal: AbortSignal) => Promise<Computed>;
  /** False when the answer is neither looked for nor kept. */
  readonly keeps: boolean;
  /** Whether the fleet can be asked; a request that has found it away does not wait for it once more. */
  readonly shares: boolean;
  readonly known: Envelope | undefined;
}

export interface Outcome {
  readonly envelope: Envelope;
  readonly status: "hit" | "miss" | "uncached";
  /** Whether this process keeps it. */
  readonly stored: boolean;
}

/** Whether an error tells of the source: what was never begun does not. */
export function isFailureOfSource(error: unknown): boolean {
  return !(error instanceof ComputeOverloadedError);
}

/** Makes new answers of one resource: one process of the fleet computes, a few computations at once, and the answer is kept. */
export class AnswerProducer {
  readonly #options: AnswerProducerOptions;
  readonly #bulkhead: Bulkhead;

  constructor(options: AnswerProducerOptions) {
    this.#options = options;
    const { resource, computationsMax: runningMax, waitingMax } = options;
    const overloaded = (): Error => new ComputeOverloadedError(resource, waitingMax);
    this.#bulkhead = new Bulkhead({ runningMax, waitingMax, overloaded });
  }

  async produce(key: string, wanted: Wanted, signal: AbortSignal): Promise<Landing<Outcome>> {
    const { store, resource } = this.#options;
    // While this caller looked into the cache, another flight may have landed, stored its answer and been forgotten.
    const mine = wanted.keeps ? await store.near(key) : undefined;
    if (mine !== undefined && this.#isWanted(mine, wanted))
      return landed({ envelope: mine, status: "hit", stored: true });

    let agreement = await this.#agree(key, wanted, wanted.known?.bornMs, signal);
    while (agreement.state === "found") {
      const theirs = await store.adopt(key, agreement.found);
      if (theirs !== undefined) return landed({ envelope: theirs, status: "hit", stored: true });
      // Damaged, or of another version. Under a lease it is replaced; else each process would compute until it expires.
      agreement = await this.#agree(key, wanted, agreement.found.bornMs, signal);
    }
    if (agreement.state === "failed") throw new ComputeFailedElsewhereError(resource);
    const lease = agreement.state === "granted" ? agreement.lease : undefined;
    return lease === undefined ? this.#compute(key, wanted, signal) : this.#computeUnder(lease, key, wanted, signal);
  }

  #isWanted(mine: Envelope, { known, ...freshness }: Wanted): boolean {
    const isNewer = known === undefined || this.#ageMs(mine) < this.#ageMs(known);
    return isNewer && worthOf(this.#ageMs(mine), freshness) === "fresh";
  }

  async #agree(
    key: string,
    { known, keeps, shares, ttlMs }: Wanted,
    knownBornMs: number | undefined,
    signal: AbortSignal,
  ): Promise<Agreement> {
    const { fleet, clock, metrics, leaseWaitMs: waitMs, random } = this.#options;
    if (fleet === undefined || !keeps || !shares) return { state: "alone" };
    const maxAgeMs = known === undefined ? ttlMs : Math.min(ttlMs, this.#ageMs(known));
    const onWait = (): void => metrics.leaseWaited(fleet.providerName, fleet.context);
    return agree(fleet, clock, key, { knownBornMs, maxAgeMs, waitMs, onWait, random }, signal);
  }

  async #computeUnder(lease: FleetLease, key: string, wanted: Wanted, signal: AbortSignal): Promise<Landing<Outcome>> {
    const { failurePauseMs } = this.#options;
    // A computation that is deaf to its signal must not keep the fleet waiting.
    const giveUp = (): void => void lease.release(failurePauseMs);
    signal.addEventListener("abort", giveUp, { once: true });
    // The deadline may have passed while the lease was on its way here, as in a process that was stopped for a while.
    if (signal.aborted) giveUp();
    try {
      return await this.#compute(key, wanted, signal, lease);
    } catch (error) {
      if (!signal.aborted) void lease.release(isFailureOfSource(error) ? failurePauseMs : 0);
      throw error;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }

  #compute(key: string, wanted: Wanted, signal: AbortSignal, lease?: FleetLease): Promise<Landing<Outcome>> {
    const { clock, random, store } = this.#options;
    return this.#bulkhead.run(signal, async () => {
      const begunMs = clock.monotonicMs();
      const computed = await this.#measured(begunMs, wanted.compute(signal));
      // Its callers have been told that it timed out; a later answer may already be in the cache.
      signal.throwIfAborted();
      const computeMs = clock.monotonicMs() - begunMs;
      const body = Buffer.from(computed.body);
      const { computedAt } = computed;
      const about = { computedAt, computeMs, keepMs: spreadKeepMs(wanted, random), etag: entityTag(body), body };
      const envelope = { ...about, process: thisProcess, begunMs, bornMs: lease?.bornMs };
      if (wanted.keeps && computed.cacheable !== false) {
        const keeping = this.#keep(key, envelope, computed.body, lease);
        const stored = (await store.near(key))?.begunMs === begunMs;
        return landed({ envelope, status: "miss", stored }, keeping);
      }
      void lease?.release(0);
      return landed({ envelope, status: "uncached", stored: false });
    });
  }

  /** Never rejects. */
  async #keep(key: string, envelope: Envelope, text: string, lease: FleetLease | undefined): Promise<void> {
    const encoded = await this.#options.store.keep(key, envelope, text);
    await lease?.fill(encoded, envelope.keepMs);
  }

  async #measured(begunMs: number, computing: Promise<Computed>): Promise<Computed> {
    const { clock, metrics, cache, fleet } = this.#options;
    const provider = (fleet ?? cache).providerName;
    const seconds = (): number => (clock.monotonicMs() - begunMs) / 1000;
    try {
      const computed = await computing;
      metrics.computed(provider, cache.context, seconds(), "ok");
      return computed;
    } catch (error) {
      metrics.computed(provider, cache.context, seconds(), "failed");
      throw error;
    }
  }

  #ageMs(envelope: Envelope): number {
    return this.#options.store.ageMs(envelope);
  }
}

function landed(value: Outcome, stored: Promise<void> = Promise.resolve()): Landing<Outcome> {
  return { value, stored };
}
