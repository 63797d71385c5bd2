import { randomUUID } from "node:crypto";
import type { Clock } from "../runtime/clock.ts";
import type { ConstrainedCache } from "./constraints.ts";
import { DecodedEnvelopes } from "./decoded-envelopes.ts";
import { decodeEnvelopeBytes, type Envelope, encodeEnvelope } from "./envelope.ts";
import type { FleetCache, Found } from "./fleet.ts";
import type { CacheMetrics } from "./metrics.ts";

export interface AnswerStoreOptions {
  /** Of this process: all there is, or what stands in front of `fleet`. */
  readonly cache: ConstrainedCache<"analytics">;
  readonly fleet?: FleetCache | undefined;
  readonly clock: Clock;
  readonly metrics: CacheMetrics;
}

/** What a look into the fleet's store has brought. */
export interface FarLook {
  readonly envelope: Envelope | undefined;
  /** Whether the store could say. */
  readonly available: boolean;
}

const nothing: FarLook = Object.freeze({ envelope: undefined, available: true });
const unavailable: FarLook = Object.freeze({ envelope: undefined, available: false });

/** Names this process in what it keeps. A pid would not do: containers share theirs, and a restart may get it again. */
export const thisProcess: string = randomUUID();

/**
 * The answers that this process has, and those that the fleet shares. What is found in the fleet is kept here too, with its
 * age: a copy grows old like the original, and adds nothing to it.
 */
export class AnswerStore {
  readonly #cache: ConstrainedCache<"analytics">;
  readonly #fleet: FleetCache | undefined;
  readonly #clock: Clock;
  readonly #metrics: CacheMetrics;
  readonly #decoded = new DecodedEnvelopes();
  readonly #lookups = new Map<string, Promise<FarLook>>();

  constructor(options: AnswerStoreOptions) {
    this.#cache = options.cache;
    this.#fleet = options.fleet;
    this.#clock = options.clock;
    this.#metrics = options.metrics;
  }

  get keeps(): boolean {
    return this.#cache.enabled || this.#fleet !== undefined;
  }

  /** Whether anything is ever kept in this process. */
  get keepsNear(): boolean {
    return this.#cache.enabled;
  }

  /** What this process has, whatever its age. */
  async near(key: string): Promise<Envelope | undefined> {
    return this.#decode(key, await this.#cache.peek(key));
  }

  /** The same, of what can be had without waiting. `nowMs`: what the monotonic clock has just shown. */
  nearNow(key: string, nowMs: number): Envelope | undefined {
    return this.#decode(key, this.#cache.peekNow(key, nowMs));
  }

  #decode(key: string, encoded: string | undefined): Envelope | undefined {
    if (encoded === undefined) return undefined;
    const envelope = this.#decoded.decode(key, encoded);
    if (envelope === undefined) this.#metrics.error(this.#cache.providerName, this.#cache.context, "undecodable");
    return envelope;
  }

  /** What the fleet has, whatever its age. Callers at the same time share one look. */
  far(key: string): Promise<FarLook> {
    const fleet = this.#fleet;
    if (fleet === undefined) return Promise.resolve(nothing);
    let lookup = this.#lookups.get(key);
    if (lookup === undefined) {
      lookup = this.#lookUp(fleet, key);
      this.#lookups.set(key, lookup);
    }
    return lookup;
  }

  /** Keeps what was found in the fleet for this process too, unless this has a newer one; resolves to the newer of the two. */
  async adopt(key: string, found: Found): Promise<Envelope | undefined> {
    if (!this.#cache.enabled) return this.#decodeFound(found);
    const mine = await this.near(key);
    if (mine !== undefined && mine.bornMs === found.bornMs) return mine;
    const theirs = this.#decodeFound(found);
    if (theirs === undefined) return undefined;
    if (mine !== undefined && this.ageMs(mine) <= this.ageMs(theirs)) return mine;
    // What was found is a part of something larger, as of what a socket has read: that would be kept with it.
    const envelope = { ...theirs, body: Buffer.from(theirs.body) };
    await this.keep(key, envelope, envelope.body.toString());
    return envelope;
  }

  #decodeFound({ value, begunMs, bornMs }: Found): Envelope | undefined {
    const theirs = decodeEnvelopeBytes(value);
    if (theirs !== undefined) {
      const { computedAt, computeMs, keepMs, etag, body } = theirs;
      return { computedAt, computeMs, keepMs, etag, body, process: thisProcess, begunMs, bornMs };
    }
    this.#metrics.error(this.#fleet?.providerName ?? this.#cache.providerName, this.#cache.context, "undecodable");
    return undefined;
  }

  /** Keeps an answer in this process; resolves to its encoded form. Never rejects. */
  async keep(key: string, envelope: Envelope, text: string): Promise<string> {
    const encoded = encodeEnvelope(envelope, text);
    if (this.#cache.enabled) this.#decoded.remember(key, encoded, envelope);
    // It was as old as its computation took, or as it was when it was found, before it could be stored.
    await this.#cache.set(key, encoded, envelope.keepMs - this.ageMs(envelope));
    return encoded;
  }

  /** The one place where an age is determined. What another process's clock has measured counts as being as old as it may become. */
  ageMs(envelope: Envelope, nowMs: number = this.#clock.monotonicMs()): number {
    return envelope.process === thisProcess ? nowMs - envelope.begunMs : envelope.keepMs;
  }

  async #lookUp(fleet: FleetCache, key: string): Promise<FarLook> {
    try {
      const found = await fleet.find(key);
      if (found === "unavailable") return unavailable;
      return found === undefined ? nothing : { envelope: await this.adopt(key, found), available: true };
    } finally {
      this.#lookups.delete(key);
    }
  }
}
