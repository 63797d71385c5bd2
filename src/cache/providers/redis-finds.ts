import { storeError } from "./redis-errors.ts";
import type { RedisLink } from "./redis-link.ts";

/** A value and the time at which redis had it, by redis' clock. */
export interface FoundAt {
  readonly value: string | undefined;
  readonly nowMs: number;
}

interface Waiting {
  readonly key: string;
  readonly resolve: (found: FoundAt) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Looks for values, and tells redis' time with them. Looks of one turn, as of requests that were woken together, are one write
 * with one question for the time, and have one budget: a write for each costs more than all the rest of a look.
 */
export class RedisFinds {
  readonly #link: RedisLink;
  #waiting: Waiting[] = [];

  constructor(link: RedisLink) {
    this.#link = link;
  }

  /** @throws {CacheStoreError} as {@link RedisLink.run} does */
  find(key: string): Promise<FoundAt> {
    return new Promise((resolve, reject) => {
      // No timer: a look on its own is not held up.
      if (this.#waiting.length === 0) queueMicrotask(() => void this.#lookUp());
      this.#waiting.push({ key, resolve, reject });
    });
  }

  /** Never rejects. */
  async #lookUp(): Promise<void> {
    const looks = this.#waiting;
    this.#waiting = [];
    try {
      await this.#link.run(async (client) => {
        // First, so that each value is answered as soon as it is there. The age that follows from it counts from before the
        // command was sent, and is right or a little too high all the same.
        const time = client.time();
        const ends = await Promise.allSettled([time, ...looks.map((look) => answer(look, client.get(look.key), time))]);
        const failures = ends.flatMap((end) => (end.status === "rejected" ? [storeError(end.reason)] : []));
        // What was refused to one is no failure of the others.
        const failure = failures.find(({ isOutage }) => isOutage);
        if (failure !== undefined) throw failure;
      });
    } catch (error) {
      // Those that have their value know nothing of it.
      for (const { reject } of looks) reject(storeError(error));
    }
  }
}

/** Rejects as the look does. */
async function answer(
  { resolve, reject }: Waiting,
  get: Promise<string | null>,
  time: Promise<unknown>,
): Promise<void> {
  try {
    const [value, now] = await Promise.all([get, time]);
    resolve({ value: value ?? undefined, nowMs: msOf(now) });
  } catch (error) {
    const failure = storeError(error);
    reject(failure);
    throw failure;
  }
}

/** Seconds and microseconds, as TIME tells them. */
function msOf(time: unknown): number {
  const [seconds, microseconds] = Array.isArray(time) ? time.map(Number) : [];
  return Number(seconds) * 1000 + Math.ceil(Number(microseconds) / 1000);
}
