import type { Redis } from "ioredis";
import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/logging.ts";
import type { CacheHealth, Claim, ClaimRequest, Fill, Kept, SharedCacheProvider } from "../contract.ts";
import { RedisFinds } from "./redis-finds.ts";
import { keptOf } from "./redis-frame.ts";
import { type RedisChange, RedisLink } from "./redis-link.ts";
import { claimScript, fillScript, releaseScript, renewScript } from "./redis-scripts.ts";

export interface RedisCacheOptions {
  readonly url: string;
  readonly database: number;
  readonly connectTimeoutMs: number;
  readonly commandBudgetMs: number;
}

export interface RedisCacheSurroundings {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of each change between serving and not serving; must not throw. */
  readonly onChange?: (change: RedisChange) => void;
}

/** Keys that one step of a pattern's deletion looks at, about; redis does nothing else meanwhile. */
const scanCount = 500;

/**
 * Values in Redis, or what speaks its protocol (5 or newer; Valkey, Dragonfly, KeyDB). Nothing waits for the connection: until it
 * works, and whenever it does not, operations reject at once; a command rejects when its budget is spent.
 */
export class RedisCacheProvider implements SharedCacheProvider {
  readonly name = "redis";
  readonly reach = "shared";
  readonly #link: RedisLink;
  readonly #finds: RedisFinds;
  readonly #logger: Logger;

  constructor(options: RedisCacheOptions, { clock, logger, onChange }: RedisCacheSurroundings) {
    this.#logger = logger;
    this.#link = new RedisLink({
      ...options,
      clock,
      onChange: (change) => {
        this.#say(change);
        onChange?.(change);
      },
    });
    this.#finds = new RedisFinds(this.#link, clock);
  }

  async get(key: string): Promise<string | undefined> {
    if (this.#link.closed) return undefined;
    return (await this.#link.run((client) => client.get(key))) ?? undefined;
  }

  async set(key: string, value: string, ttlMs: number): Promise<void> {
    if (this.#link.closed) return;
    if (!(ttlMs > 0)) await this.delete(key);
    else await this.#link.write((client) => client.set(key, value, "PX", Math.ceil(ttlMs)));
  }

  async delete(key: string): Promise<void> {
    if (this.#link.closed) return;
    await this.#link.write((client) => client.unlink(key));
  }

  /** Each step has the budget of a command. Keys that are set meanwhile may stay. */
  async deletePattern(pattern: string): Promise<number> {
    if (this.#link.closed) return 0;
    // To redis `[` and `\` mean something too.
    const match = pattern.replaceAll(/[[\]\\]/gu, String.raw`\$&`);
    let deleted = 0;
    let cursor = "0";
    do {
      const from = cursor;
      const [next, keys] = await this.#link.run((client) => client.scan(from, "MATCH", match, "COUNT", scanCount));
      if (keys.length > 0) deleted += await this.#deleteAll(keys);
      cursor = next;
    } while (cursor !== "0");
    return deleted;
  }

  /** Tells what is known, and sends nothing: who asks for health is no probe. */
  healthCheck(): Promise<CacheHealth> {
    const { reason, since, counts } = this.#link.report;
    const figures = Object.fromEntries(Object.entries(counts).map(([name, count]) => [`${name}_total`, count]));
    if (this.#link.serving || this.#link.closed) return Promise.resolve({ healthy: true, figures });
    return Promise.resolve({ healthy: false, reason: `Redis is not used: ${reason}`, since, figures });
  }

  close(): Promise<void> {
    this.#link.close();
    return Promise.resolve();
  }

  find(key: string): Promise<Kept | undefined> {
    return this.#link.closed ? Promise.resolve(undefined) : this.#finds.find(key);
  }

  async claim(key: string, { token, leaseMs, knownBornMs, maxAgeMs }: ClaimRequest): Promise<Claim> {
    const args = [token, leaseMs, knownBornMs ?? "", maxAgeMs];
    const claim = (client: Redis): Promise<unknown> =>
      client.callBuffer("eval", claimScript, 2, key, leaseOf(key), ...args);
    // A claim that redis grants when nobody waits for it any more would be a lease without a holder.
    const takeBack = (client: Redis): Promise<unknown> => client.eval(releaseScript, 1, leaseOf(key), token, 0);
    const [word, now, value] = list(await this.#link.write(claim, takeBack));
    const state = String(word);
    const nowMs = Number(now);
    if (state === "granted") return { state, nowMs };
    const kept = state === "found" && Buffer.isBuffer(value) ? keptOf(value, nowMs) : undefined;
    if (kept !== undefined) return { state: "found", kept };
    return { state: state === "failed" ? "failed" : "held" };
  }

  async renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return (await this.#script(renewScript, [leaseOf(key)], [token, leaseMs])) === 1;
  }

  async fill(key: string, token: string, { value, bornMs, keepMs }: Fill): Promise<boolean> {
    const args = [token, bornMs, value, Math.floor(keepMs)];
    return (await this.#script(fillScript, [key, leaseOf(key)], args)) === 1;
  }

  /** One command, hence one step. */
  async invalidate(key: string): Promise<void> {
    await this.#link.write((client) => client.unlink(key, leaseOf(key)));
  }

  async release(key: string, token: string, pauseMs: number): Promise<void> {
    await this.#script(releaseScript, [leaseOf(key)], [token, Math.ceil(pauseMs)]);
  }

  #script(script: string, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    return this.#link.write((client: Redis) => client.eval(script, keys.length, ...keys, ...args));
  }

  /** Resolves to the number of values that went. A lease is none. */
  async #deleteAll(keys: readonly string[]): Promise<number> {
    const [values, leases] = [keys.filter((key) => !isLease(key)), keys.filter(isLease)];
    const [gone] = await this.#link.write((client) => {
      const unlink = (some: readonly string[]): Promise<number> =>
        some.length === 0 ? Promise.resolve(0) : client.unlink(...some);
      return Promise.all([unlink(values), unlink(leases)]);
    });
    return gone;
  }

  /** One line for each change. A host application may bring its own logger; one that throws must not end the connection. */
  #say(change: RedisChange): void {
    try {
      if (change.serving) this.#logger.info({ provider: this.name }, "The cache in redis is in use");
      else {
        const message = "Redis cannot be used; analytics go on with the memory of each process, templates uncached";
        this.#logger.warn({ provider: this.name, reason: change.reason }, message);
      }
    } catch {
      // There is nowhere left to report to; health and metrics tell it too.
    }
  }
}

const leaseEnd = ":lease";

/** The name of the lease under which a key is computed. */
function leaseOf(key: string): string {
  return key + leaseEnd;
}

function isLease(key: string): boolean {
  return key.endsWith(leaseEnd);
}

function list(reply: unknown): readonly unknown[] {
  return Array.isArray(reply) ? reply : [];
}
