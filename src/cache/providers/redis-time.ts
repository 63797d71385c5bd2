/** What TIME told, and when it was asked for by this process's monotonic clock. */
interface Reading {
  readonly redisMs: number;
  readonly sentMs: number;
  readonly epoch: number;
}

/** So long a reading is counted on from; and so long a step of redis' clock may go unnoticed. */
const readingMsMax = 100;

/**
 * Redis' time without asking for it each time. It is counted on from when TIME was *sent*, which redis executed later: it is right
 * or a little too late, so that an age that follows from it is right or a little too high. A reading says nothing about another
 * connection, behind which may be another server.
 */
export class RedisTime {
  #reading: Reading | undefined;

  /** Redis' time at `atMs` of the monotonic clock, milliseconds; undefined when it has to be asked for. */
  at(atMs: number, epoch: number): number | undefined {
    const reading = this.#reading;
    if (reading === undefined || reading.epoch !== epoch) return undefined;
    const elapsedMs = atMs - reading.sentMs;
    return elapsedMs <= readingMsMax ? reading.redisMs + elapsedMs : undefined;
  }

  /** Takes the reply to a TIME that was sent at `sentMs`; returns the time that it tells. */
  learn(reply: unknown, sentMs: number, epoch: number): number {
    const redisMs = msOf(reply);
    // Of two that were under way the later one counts, whichever is heard last.
    if (this.#reading?.epoch !== epoch || this.#reading.sentMs <= sentMs) this.#reading = { redisMs, sentMs, epoch };
    return redisMs;
  }
}

/** Seconds and microseconds, as TIME tells them. */
function msOf(time: unknown): number {
  const [seconds, microseconds] = Array.isArray(time) ? time.map(Number) : [];
  return Number(seconds) * 1000 + Math.ceil(Number(microseconds) / 1000);
}
