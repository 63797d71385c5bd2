import type { FleetCache } from "../cache/fleet.ts";
import type { Clock, Timer } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logging.ts";

const retryMs = 250;
const reviewRetryMsMax = 10_000;

/** More keys than this make everything suspect: what a process remembers stays bounded. */
const pendingMax = 1_000;

export interface InvalidationsOptions {
  readonly cache: Pick<FleetCache<"templates">, "invalidate" | "health">;
  /** When an entry has expired, whatever became of its invalidation. */
  readonly expireMs: number;
  /** Deletes from the cache what differs from Postgres. False when it could not look at all; rejects when Postgres fails. */
  readonly review: () => Promise<boolean>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** An object of its own for each invalidation: an older attempt that succeeds says nothing about a newer one. */
interface Pending {
  readonly untilMs: number;
}

/**
 * Invalidations that are not known to have happened. They are tried again until they have, or until the entry has expired; as
 * long, this process does not believe what the cache holds under their keys.
 */
export class Invalidations {
  readonly #options: InvalidationsOptions;
  readonly #pending = new Map<string, Pending>();
  /** Set while anything in the cache may be old. */
  #suspect: Pending | undefined;
  #timer: Timer | undefined;
  #running = false;
  #stopped = false;
  #reviewFailures = 0;

  constructor(options: InvalidationsOptions) {
    this.#options = options;
  }

  /** Whether what the cache holds under the key may be believed. */
  trusts(key: string): boolean {
    return !this.#isDue(this.#suspect) && !this.#isDue(this.#pending.get(key));
  }

  /** Resolves after one attempt. When that fails, others follow in the background. */
  async invalidate(key: string): Promise<void> {
    if (this.#stopped) return;
    if (this.#pending.size >= pendingMax && !this.#pending.has(key)) this.#suspectAll();
    this.#pending.set(key, this.#due());
    if (!(await this.#attempt(key))) this.#retryLater(retryMs);
  }

  /** What was missed nobody tells any more: compares everything with Postgres, and again until that has succeeded. */
  async reviewAll(): Promise<void> {
    this.#suspectAll();
    await this.#run();
  }

  /** Gives up what is pending: other processes heard of it too. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #suspectAll(): void {
    this.#pending.clear();
    this.#suspect = this.#due();
  }

  #due(): Pending {
    return { untilMs: this.#options.clock.monotonicMs() + this.#options.expireMs };
  }

  #isDue(pending: Pending | undefined): boolean {
    return pending !== undefined && this.#options.clock.monotonicMs() <= pending.untilMs;
  }

  /** True when the key is deleted for all who asked for it before. */
  async #attempt(key: string): Promise<boolean> {
    const pending = this.#pending.get(key);
    if (!(await this.#options.cache.invalidate(key))) return false;
    if (this.#pending.get(key) === pending) this.#pending.delete(key);
    return true;
  }

  #retryLater(delayMs: number): void {
    if (this.#stopped || this.#timer !== undefined || this.#running) return;
    this.#timer = this.#options.clock.schedule(delayMs, () => void this.#run(), { unref: true });
  }

  /** One at a time; what comes meanwhile is tried at its end. */
  async #run(): Promise<void> {
    if (this.#running || this.#stopped) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#running = true;
    await this.#tryAll();
    this.#running = false;
    if (!this.#isDue(this.#suspect)) this.#suspect = undefined;
    if (this.#suspect === undefined && this.#pending.size === 0) return;
    this.#retryLater(Math.min(reviewRetryMsMax, retryMs * 2 ** Math.min(this.#reviewFailures, 10)));
  }

  /** Until one fails: then the others would, too. */
  async #tryAll(): Promise<void> {
    // Told without asking redis, so that an outage is not counted as a failure four times a second.
    if (!(await this.#options.cache.health()).healthy) return;
    const suspect = this.#suspect;
    if (this.#isDue(suspect)) {
      if (!(await this.#reviewed())) return;
      if (this.#suspect === suspect) this.#suspect = undefined;
    }
    for (const [key, pending] of this.#pending) {
      if (!this.#isDue(pending)) {
        if (this.#pending.get(key) === pending) this.#pending.delete(key);
      } else if (this.#stopped || !(await this.#attempt(key))) return;
    }
  }

  async #reviewed(): Promise<boolean> {
    try {
      const isComplete = await this.#options.review();
      this.#reviewFailures = 0;
      return isComplete;
    } catch (error) {
      if (this.#reviewFailures === 0 && !this.#stopped) {
        this.#say(
          { err: error },
          "cached templates cannot be compared with Postgres; they are not used until they are",
        );
      }
      this.#reviewFailures += 1;
      return false;
    }
  }

  /** A host application may bring its own logger; one that throws must not end the retries. */
  #say(details: object, message: string): void {
    try {
      this.#options.logger.warn(details, message);
    } catch {
      // There is nowhere left to report to; the retries go on.
    }
  }
}
