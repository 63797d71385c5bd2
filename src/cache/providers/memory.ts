import { LRUCache } from "lru-cache";
import type { Clock } from "../../runtime/clock.ts";
import type { CacheHealth, CacheProvider } from "../contract.ts";
import { matchesGlob } from "../glob.ts";

/** What the memory cache may hold; the least recently used values go first. */
export interface MemoryCacheLimits {
  readonly entriesMax: number;
  /** Counted as two bytes a character, the most a string can take. No value may take more than an eighth of it. */
  readonly bytesMax: number;
}

/** One large value must not push out everything else. */
const shareOfOneValueMax = 1 / 8;

/** What an entry costs beside its characters (map, list, time to live, string headers): 125 to 225 on Node 20. */
const entryOverheadBytes = 200;

/** Values in the memory of this process. Expired ones go when they are asked for or pushed out; there are no timers. */
export class MemoryCacheProvider implements CacheProvider<"process"> {
  readonly name = "memory";
  readonly reach = "process";
  readonly #values: LRUCache<string, string>;
  readonly #valueBytesMax: number;
  /** While the library is called, what its caller's clock has shown. */
  #nowMs: number | undefined;
  #closed = false;
  #evictions = 0;
  #refused = 0;

  constructor(limits: MemoryCacheLimits, clock: Clock) {
    this.#valueBytesMax = Math.floor(limits.bytesMax * shareOfOneValueMax);
    this.#values = new LRUCache({
      // The library sets aside room for all of them at once; more than this the bytes never allow.
      max: Math.max(1, Math.min(limits.entriesMax, Math.floor(limits.bytesMax / entryOverheadBytes))),
      maxSize: limits.bytesMax,
      sizeCalculation: bytesOf,
      // The library takes a start of 0 for "never expires", and a moved clock may well begin at 0.
      perf: { now: () => (this.#nowMs ?? clock.monotonicMs()) + 1 },
      // Any other resolution keeps the time it has read until a timer of the library's own fires.
      ttlResolution: 0,
      dispose: (_value, _key, reason) => {
        if (reason === "evict") this.#evictions += 1;
      },
    });
  }

  get(key: string): Promise<string | undefined> {
    return Promise.resolve(this.getNow(key));
  }

  getNow(key: string, nowMs?: number): string | undefined {
    this.#nowMs = nowMs;
    const value = this.#values.get(key);
    this.#nowMs = undefined;
    return value;
  }

  set(key: string, value: string, ttlMs: number): Promise<void> {
    const tooLarge = bytesOf(value, key) > this.#valueBytesMax;
    if (tooLarge) this.#refused += 1;
    // To the library a ttl of 0 means for ever.
    if (tooLarge || this.#closed || !(ttlMs > 0)) this.#values.delete(key);
    else this.#values.set(key, value, { ttl: ttlMs });
    return Promise.resolve();
  }

  delete(key: string): Promise<void> {
    this.#values.delete(key);
    return Promise.resolve();
  }

  deletePattern(pattern: string): Promise<number> {
    // Collected first: deleting while iterating would skip keys.
    const keys = [...this.#values.keys()].filter((key) => matchesGlob(pattern, key));
    for (const key of keys) this.#values.delete(key);
    return Promise.resolve(keys.length);
  }

  /** `entries` and `bytes` still count expired values that nobody has asked for since. */
  healthCheck(): Promise<CacheHealth> {
    const figures = {
      entries: this.#values.size,
      bytes: this.#values.calculatedSize,
      evictions_total: this.#evictions,
      refused_too_large_total: this.#refused,
    };
    return Promise.resolve({ healthy: true, figures });
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#values.clear();
    return Promise.resolve();
  }
}

function bytesOf(value: string, key: string): number {
  return 2 * (value.length + key.length) + entryOverheadBytes;
}
