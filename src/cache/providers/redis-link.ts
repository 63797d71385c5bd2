import { randomUUID } from "node:crypto";
import { Redis, type RedisOptions } from "ioredis";
import type { Clock, Timer } from "../../runtime/clock.ts";
import { CacheStoreError, type StoreFailure } from "../errors.ts";
import { withinBudget } from "./redis-budget.ts";
import { keysRefusedByCluster, storeError } from "./redis-errors.ts";

export interface RedisLinkOptions {
  /** `redis://` or, with TLS, `rediss://`; may hold a user, a password and a database, which wins over `database`. */
  readonly url: string;
  readonly database: number;
  /** How long connecting may take, in the background. */
  readonly connectTimeoutMs: number;
  /** How long a command is waited for. */
  readonly commandBudgetMs: number;
  readonly clock: Clock;
  /** Told of each change between serving and not serving; must not throw. */
  readonly onChange: (change: RedisChange) => void;
}

export type RedisChange = { readonly serving: true } | { readonly serving: false; readonly reason: StoreFailure };

const faultsMax = 2;
/** Nobody has it. */
const probeKey = `tasker:probe:${randomUUID()}`;
const probeIntervalMs = 250;
/** Who fails commands again so soon after its PING was answered is asked again later each time, up to {@link relapsesMax} doublings. */
const relapseMs = 5_000;
const relapsesMax = 5;
const reconnectMsMax = 1_000;
const usualConnectMs = 1_000;
const silenceMsMin = 1_000;

/**
 * One pipelined connection to redis, which is used only while it is known to work.
 *
 * It is *starting* until a first PING is answered or fails; *serving* until the connection ends, two commands (or two writes) in a
 * row meet an outage or a cluster refuses one; *without* redis until a PING of its own, at most one each 250 ms and one at a
 * time, is answered within the budget. Only it probes: a caller's command is sent while serving, and otherwise rejected at once.
 *
 * A PING may be answered where commands are not (a link that is slow for values, a paused server). Then callers would be the
 * probe after all, two at a time: each relapse doubles the time until the next PING.
 */
export class RedisLink {
  readonly #options: RedisLinkOptions;
  readonly #client: Redis;
  #state: "starting" | "serving" | "without" | "closed" = "starting";
  #faults = 0;
  /**
   * Of writes in a row that were not answered in time, whatever reads and new connections were between: a server may hold up writes alone (`CLIENT PAUSE WRITE`, a
   * failover). Only a write that is answered ends the row.
   */
  #writeFaults = 0;
  #epoch = 0;
  #pinging = false;
  #servingSinceMs = 0;
  /** Times of serving, one after the other, that commands ended within {@link relapseMs}. */
  #relapses = 0;
  #probeTimer: Timer | undefined;
  #reason: StoreFailure = "not_ready";
  /** Of the command that a cluster refused: asked for with each PING until they are served. */
  #refusedKeys: readonly string[] = [];
  #sinceWallMs: number;
  readonly #counts = { commands: 0, faults: 0, probes: 0, outages: 0 };

  constructor(options: RedisLinkOptions) {
    this.#options = options;
    this.#sinceWallMs = options.clock.wallMs();
    this.#client = new Redis(options.url, this.#clientOptions());
    // Without a listener the library writes to the console.
    this.#client.on("error", (error: unknown) => this.#lose(storeError(error).reason));
    this.#client.on("close", () => this.#lose("connection"));
    this.#client.on("ready", () => this.#probe());
    this.#scheduleProbe();
  }

  get serving(): boolean {
    return this.#state === "serving" && this.#client.status === "ready";
  }

  /** Counts the times of serving: what was learned in an earlier one says nothing about this one. */
  get epoch(): number {
    return this.#epoch;
  }

  get closed(): boolean {
    return this.#state === "closed";
  }

  /** What it is like now, without asking redis. */
  get report(): {
    readonly reason: StoreFailure;
    readonly since: string;
    readonly counts: Readonly<Record<string, number>>;
  } {
    return { reason: this.#reason, since: new Date(this.#sinceWallMs).toISOString(), counts: { ...this.#counts } };
  }

  /**
   * Sends a command and waits for its reply within the budget.
   *
   * @throws {CacheStoreError} at once when redis is not known to work; after the budget; or for what redis replied.
   */
  run<Result>(command: (client: Redis) => Promise<Result>): Promise<Result> {
    return this.#run(command, "read");
  }

  /**
   * The same for what redis may hold up while it answers all else: writes, and scripts.
   *
   * @param takeBack undoes the command. It is sent when the budget is spent, and nobody waits for it: redis executes the
   *   commands of a connection in their order, so that it undoes what was given up right after that is done, however late.
   */
  write<Result>(
    command: (client: Redis) => Promise<Result>,
    takeBack?: (client: Redis) => Promise<unknown>,
  ): Promise<Result> {
    return this.#run(command, "write", takeBack);
  }

  async #run<Result>(
    command: (client: Redis) => Promise<Result>,
    kind: "read" | "write",
    takeBack?: (client: Redis) => Promise<unknown>,
  ): Promise<Result> {
    if (!this.serving) throw new CacheStoreError("not_ready", `Redis is not used: ${this.#reason}`);
    this.#counts.commands += 1;
    const epoch = this.#epoch;
    try {
      const result = await this.#withinBudget(command(this.#client));
      this.#answered(kind);
      return result;
    } catch (error) {
      const failure = storeError(error);
      if (failure.reason === "timeout" && takeBack !== undefined) this.#send(takeBack);
      if (epoch === this.#epoch) this.#countFault(failure, kind, keysRefusedByCluster(error));
      throw failure;
    }
  }

  #send(command: (client: Redis) => Promise<unknown>): void {
    if (this.#client.status !== "ready") return;
    // Whether it fails, the caller's budget is spent; the outage is counted with the command before.
    command(this.#client).catch(() => undefined);
  }

  /** Idempotent. Commands under way are rejected. */
  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#reason = "closed";
    this.#probeTimer?.cancel();
    this.#client.disconnect();
  }

  #clientOptions() {
    const { database, connectTimeoutMs, commandBudgetMs } = this.#options;
    return {
      db: database,
      // The oldest that every server speaks.
      protocol: 2,
      disableClientInfo: true,
      // A PING within the budget says more, and soon: the library would wait for seconds while redis loads its data.
      enableReadyCheck: false,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      connectTimeout: Math.min(usualConnectMs, connectTimeoutMs),
      // A connection that owes an answer for so long is replaced: the other end may be gone without a word.
      socketTimeout: Math.max(silenceMsMin, 4 * commandBudgetMs),
      retryStrategy: (times: number) => this.#nextConnect(times),
    } satisfies RedisOptions;
  }

  /** Attempts are short, so that redis is in use soon after it is back; each fourth may take as long as is configured. */
  #nextConnect(times: number): number {
    const { connectTimeoutMs } = this.#options;
    this.#client.options.connectTimeout =
      times % 4 === 3 ? connectTimeoutMs : Math.min(usualConnectMs, connectTimeoutMs);
    const delayMs = Math.min(reconnectMsMax / 2, 25 * 2 ** Math.min(times, 10));
    return Math.floor(delayMs * (1 + Math.random()));
  }

  #withinBudget<Result>(promise: Promise<Result>): Promise<Result> {
    const { clock, commandBudgetMs } = this.#options;
    const late = (): Error => new CacheStoreError("timeout", `Redis did not answer within ${commandBudgetMs} ms`);
    return withinBudget(clock, commandBudgetMs, promise, late);
  }

  #answered(kind: "read" | "write"): void {
    this.#faults = 0;
    if (kind === "write") this.#writeFaults = 0;
  }

  #countFault(failure: CacheStoreError, kind: "read" | "write", refusedKeys: readonly string[] | undefined): void {
    if (!failure.isOutage) {
      this.#answered(kind);
      return;
    }
    this.#faults += 1;
    if (kind === "write" && failure.reason === "timeout") this.#writeFaults += 1;
    this.#counts.faults += 1;
    this.#refusedKeys = refusedKeys ?? [];
    // A cluster's reply is no accident that the next command may be spared.
    if (refusedKeys === undefined && Math.max(this.#faults, this.#writeFaults) < faultsMax) return;
    if (this.#state === "serving") this.#countRelapse();
    this.#lose(failure.reason);
  }

  #countRelapse(): void {
    const servedMs = this.#options.clock.monotonicMs() - this.#servingSinceMs;
    this.#relapses = servedMs < relapseMs ? Math.min(relapsesMax, this.#relapses + 1) : 0;
  }

  #lose(reason: StoreFailure): void {
    if (this.#state === "closed") return;
    // The connection ends in consequence of what was reported first.
    if (this.#state !== "without" || reason !== "connection") this.#reason = reason;
    if (this.#state === "without") return;
    if (this.#state === "serving") this.#sinceWallMs = this.#options.clock.wallMs();
    this.#state = "without";
    this.#counts.outages += 1;
    this.#scheduleProbe();
    this.#options.onChange({ serving: false, reason });
  }

  #scheduleProbe(): void {
    this.#probeTimer?.cancel();
    const again = (): void => {
      if (this.#state === "serving" || this.#state === "closed") return;
      this.#scheduleProbe();
      this.#probe();
    };
    const delayMs = probeIntervalMs * 2 ** this.#relapses;
    this.#probeTimer = this.#options.clock.schedule(delayMs, again, { unref: true });
  }

  /** Asks for a sign of life unless one is still owed. */
  #probe(): void {
    if (this.#pinging || this.#state === "serving" || this.#client.status !== "ready") return;
    this.#pinging = true;
    this.#counts.probes += 1;
    const answered = this.#ping();
    const over = (): void => void (this.#pinging = false);
    answered.then(over, over);
    this.#withinBudget(answered).then(
      () => this.#serve(),
      (error: unknown) => this.#lose(storeError(error).reason),
    );
  }

  /** A server that refuses the database goes on with number 0, where others may keep their keys: each PING asks for it. */
  async #ping(): Promise<void> {
    const { db = 0 } = this.#client.options;
    await Promise.all([
      db === 0 ? undefined : this.#client.select(db),
      this.#client.ping(),
      this.#refusedKeys.length === 0 ? undefined : this.#askForRefusedKeys(),
      this.#writeFaults === 0 ? undefined : this.#write(),
    ]);
  }

  /** Rejects as a write does now. It deletes what nobody has: so it leaves nothing, and a full server does it too. */
  async #write(): Promise<void> {
    try {
      await this.#client.unlink(probeKey);
    } catch (error) {
      if (storeError(error).isOutage) throw error;
    }
    this.#writeFaults = 0;
  }

  /** Rejects while a cluster keeps them elsewhere; any other refusal of this script says that it does not. */
  async #askForRefusedKeys(): Promise<void> {
    try {
      await this.#client.eval("return 1", this.#refusedKeys.length, ...this.#refusedKeys);
    } catch (error) {
      if (storeError(error).isOutage) throw error;
    }
  }

  #serve(): void {
    if (this.#state === "closed" || this.#client.status !== "ready") return;
    this.#state = "serving";
    this.#servingSinceMs = this.#options.clock.monotonicMs();
    this.#faults = 0;
    this.#refusedKeys = [];
    this.#epoch += 1;
    this.#probeTimer?.cancel();
    this.#options.onChange({ serving: true });
  }
}
