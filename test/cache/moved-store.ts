import type { CacheHealth, Claim, ClaimRequest, Fill, Kept, SharedCacheProvider } from "../../src/cache/contract.ts";
import { CacheStoreError } from "../../src/cache/errors.ts";
import type { Clock } from "../../src/runtime/clock.ts";

interface Entry {
  readonly text: string;
  readonly bornMs: number;
  readonly untilMs: number;
}

/**
 * What redis does for a fleet, on a clock that a test moves: redis' own cannot be. It passes the same contract as redis
 * (`test/contracts/shared-cache-provider.ts`), and stands in where hours have to pass or histories are random.
 */
export class MovedStore implements SharedCacheProvider {
  readonly name = "redis";
  readonly reach = "shared";
  /** While set, every operation fails as one of a redis that is not there. */
  away = false;
  /** Claims reach the store after it. */
  claimsHeld: Promise<void> | undefined;
  readonly #clock: Clock;
  readonly #values = new Map<string, Entry>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(key: string): Promise<string | undefined> {
    return this.#do(() => this.#live(key)?.text);
  }

  set(key: string, value: string, ttlMs: number): Promise<void> {
    return this.#do(() => this.#put(key, { text: value, bornMs: Number.NaN }, ttlMs));
  }

  delete(key: string): Promise<void> {
    return this.#do(() => void this.#values.delete(key));
  }

  deletePattern(): Promise<number> {
    throw new Error("not needed");
  }

  healthCheck(): Promise<CacheHealth> {
    return Promise.resolve({ healthy: !this.away, figures: {} });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  find(key: string): Promise<Kept | undefined> {
    return this.#do(() => this.#kept(key));
  }

  async claim(key: string, { token, leaseMs, knownBornMs, maxAgeMs }: ClaimRequest): Promise<Claim> {
    await this.claimsHeld;
    return this.#do(() => {
      const kept = this.#kept(key);
      if (kept !== undefined && kept.bornMs !== knownBornMs && kept.ageMs <= maxAgeMs) return { state: "found", kept };
      const lease = this.#live(`${key}:lease`);
      if (lease !== undefined) return { state: lease.text === "!" ? "failed" : "held" };
      this.#put(`${key}:lease`, { text: token, bornMs: Number.NaN }, leaseMs);
      return { state: "granted", nowMs: this.#clock.wallMs() };
    });
  }

  renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return this.#do(() => {
      if (!this.#holds(key, token)) return false;
      this.#put(`${key}:lease`, { text: token, bornMs: Number.NaN }, leaseMs);
      return true;
    });
  }

  fill(key: string, token: string, { value, bornMs, keepMs }: Fill): Promise<boolean> {
    return this.#do(() => {
      if (!this.#holds(key, token)) return false;
      const leftMs = bornMs + keepMs - this.#clock.wallMs();
      if (leftMs > 0) this.#put(key, { text: value, bornMs }, leftMs);
      this.#values.delete(`${key}:lease`);
      return leftMs > 0;
    });
  }

  invalidate(key: string): Promise<void> {
    return this.#do(() => {
      this.#values.delete(key);
      this.#values.delete(`${key}:lease`);
    });
  }

  release(key: string, token: string, pauseMs: number): Promise<void> {
    return this.#do(() => {
      if (!this.#holds(key, token)) return;
      this.#values.delete(`${key}:lease`);
      if (pauseMs > 0) this.#put(`${key}:lease`, { text: "!", bornMs: Number.NaN }, pauseMs);
    });
  }

  /** Values and leases that are kept. */
  get size(): number {
    return [...this.#values.keys()].filter((key) => this.#live(key) !== undefined).length;
  }

  /** By the clock of the store. */
  get nowMs(): number {
    return this.#clock.wallMs();
  }

  /** What is kept under a name, as the test's own look behind the contract. */
  leftMs(key: string): number {
    return (this.#live(key)?.untilMs ?? this.#clock.wallMs()) - this.#clock.wallMs();
  }

  /** Puts a text there that nobody filled; one that begins with a birth and a line feed is what redis would take for filled. */
  setRaw(key: string, text: string): void {
    const [, born = "NaN", rest = text] = /^(\d+)\n(.*)$/su.exec(text) ?? [];
    this.#put(key, { text: rest, bornMs: Number(born) }, Number.POSITIVE_INFINITY);
  }

  /** Loses everything, as a redis that was restarted. */
  clear(): void {
    this.#values.clear();
  }

  #put(key: string, entry: Omit<Entry, "untilMs">, ttlMs: number): void {
    this.#values.set(key, { ...entry, untilMs: this.#clock.wallMs() + ttlMs });
  }

  #live(key: string): Entry | undefined {
    const entry = this.#values.get(key);
    return entry === undefined || this.#clock.wallMs() > entry.untilMs ? undefined : entry;
  }

  #holds(key: string, token: string): boolean {
    return this.#live(`${key}:lease`)?.text === token;
  }

  #kept(key: string): Kept | undefined {
    const entry = this.#live(key);
    if (entry === undefined || Number.isNaN(entry.bornMs)) return undefined;
    const ageMs = this.#clock.wallMs() - entry.bornMs;
    return ageMs < -1_000
      ? undefined
      : { value: Buffer.from(entry.text), bornMs: entry.bornMs, ageMs: Math.max(0, ageMs) };
  }

  /** As over a network: it happens at once and is known later. */
  async #do<Result>(operation: () => Result): Promise<Result> {
    if (this.away) throw new CacheStoreError("not_ready", "away");
    const result = operation();
    await Promise.resolve();
    return result;
  }
}
