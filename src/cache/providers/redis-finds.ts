import type { Redis } from "ioredis";
import type { Clock } from "../../runtime/clock.ts";
import type { Kept } from "../contract.ts";
import { storeError } from "./redis-errors.ts";
import { keptOf } from "./redis-frame.ts";
import type { RedisLink } from "./redis-link.ts";
import { RedisTime } from "./redis-time.ts";

interface Look {
  readonly key: string;
  readonly resolve: (found: Kept | undefined) => void;
  readonly reject: (error: Error) => void;
}

/** Keys that one command asks for at most: redis does nothing else meanwhile. */
const keysMax = 64;

/**
 * Looks for values, with their ages. Looks of one turn, as of requests that were woken together, are one command and have one budget:
 * writing each of them costs more than all the rest of a look. What is no text to redis, as a list, is no value.
 */
export class RedisFinds {
  readonly #link: RedisLink;
  readonly #clock: Clock;
  readonly #time = new RedisTime();
  #looks: Look[] = [];

  constructor(link: RedisLink, clock: Clock) {
    this.#link = link;
    this.#clock = clock;
  }

  /** @throws {CacheStoreError} as {@link RedisLink.run} does */
  find(key: string): Promise<Kept | undefined> {
    return new Promise((resolve, reject) => {
      // No timer: a look on its own is not held up.
      if (this.#looks.length === 0) queueMicrotask(() => this.#send());
      this.#looks.push({ key, resolve, reject });
    });
  }

  #send(): void {
    const looks = this.#looks;
    this.#looks = [];
    for (let from = 0; from < looks.length; from += keysMax) {
      void this.#lookUp(looks.length <= keysMax ? looks : looks.slice(from, from + keysMax));
    }
  }

  /** Never rejects. */
  async #lookUp(looks: readonly Look[]): Promise<void> {
    try {
      const { values, nowMs } = await this.#read(looks.map(({ key }) => key));
      for (const [index, { resolve }] of looks.entries()) {
        const framed = values[index];
        resolve(framed === null || framed === undefined ? undefined : keptOf(framed, nowMs));
      }
    } catch (error) {
      const failure = storeError(error);
      for (const { reject } of looks) reject(failure);
    }
  }

  /** The values, and redis' time when they were asked for or later. */
  async #read(keys: string[]): Promise<{ readonly values: readonly (Buffer | null)[]; readonly nowMs: number }> {
    const sentMs = this.#clock.monotonicMs();
    const { epoch } = this.#link;
    const nowMs = this.#time.at(sentMs, epoch);
    const get = (client: Redis): Promise<(Buffer | null)[]> => client.mgetBuffer(keys);
    if (nowMs !== undefined) return { values: await this.#link.run(get), nowMs };
    const [time, values] = await this.#link.run((client) => Promise.all([client.time(), get(client)]));
    return { values, nowMs: this.#time.learn(time, sentMs, epoch) };
  }
}
