import { type Claim, claimSteps, releaseLeases } from "../engine/claim.ts";
import { newId } from "../engine/ids.ts";
import type { Settled, Settlement } from "../engine/settle.ts";
import type { WakeUps } from "../engine/wake-ups.ts";
import type { Database } from "../postgres/sql.ts";
import { type Clock, sleep, type Timer } from "../runtime/clock.ts";
import type { Service } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logging.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { RegisteredStep, TaskHandlerRegistry } from "../templates/task-handler-registry.ts";
import { type AttemptResult, runAttempt } from "./attempt.ts";
import { Completions } from "./completions.ts";
import { Heartbeats } from "./heartbeats.ts";
import { LeaseLostError, WorkerStoppingError } from "./handler-error.ts";
import { LeaseRenewal, type Running } from "./lease-renewal.ts";
import { freedLimits, lateOf } from "./recorded-batch.ts";

export interface WorkerSettings {
  /** Handlers at once. */
  readonly concurrency: number;
  readonly leaseMs: number;
  readonly leaseRenewMs: number;
  /** How often it looks for work that nobody told it of. */
  readonly pollIntervalMs: number;
  readonly completionBatch: number;
  /** How often the heartbeats of handlers are written. */
  readonly heartbeatIntervalMs: number;
  /** How long a stop waits for handlers before their steps go back to the queue. */
  readonly shutdownTimeoutMs: number;
}

export interface WorkerOptions extends WorkerSettings {
  readonly database: Database;
  readonly registry: TaskHandlerRegistry;
  readonly wakeUps: WakeUps;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, "lateCompletions">;
  /** Called with the ids of tasks that ended through this worker. */
  readonly onTasksEnded?: (taskIds: readonly string[]) => void;
}

/** So many times the slots, or the batch where that is more, may wait to be recorded; then nothing more is claimed. */
const resultsHeldMax = 2;

/** About how long another worker's claim takes. */
const contentionDelayMs = 5;

/** Claims steps, runs their handlers and records the results, until it is stopped. */
export class Worker implements Service {
  readonly name = "worker";
  readonly id = newId();
  readonly #options: WorkerOptions;
  #completions: Completions;
  readonly #renewal: LeaseRenewal;
  readonly #heartbeats: Heartbeats;
  readonly #running = new Map<string, Running>();
  #stopping = new AbortController();
  #loop: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;
  #wake: () => void = () => {};
  #woken = false;
  #unsubscribe: () => void = () => {};
  /** Whether it claims nothing because too many results wait to be recorded. */
  #isHeldBack = false;
  /** Claims in a row that found a concurrency limit held by another. */
  #contentions = 0;
  #askAgain: Timer | undefined;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#completions = this.#openCompletions();
    const { database: sql, leaseMs, leaseRenewMs, heartbeatIntervalMs, clock, logger } = options;
    const common = { sql, clock, logger };
    const running = this.#running;
    this.#renewal = new LeaseRenewal({
      ...common,
      workerId: this.id,
      leaseMs,
      intervalMs: leaseRenewMs,
      running,
      namedStepIds: () => [...options.registry.steps.keys()],
    });
    this.#heartbeats = new Heartbeats({ ...common, intervalMs: heartbeatIntervalMs });
  }

  #openCompletions(): Completions {
    const { database, clock, logger, completionBatch } = this.#options;
    return new Completions({
      sql: database,
      clock,
      logger,
      batchMax: completionBatch,
      actor: `worker:${this.id}`,
      onSettled: (batch, settled) => this.#settled(batch, settled),
    });
  }

  async start(): Promise<void> {
    await this.#stopped;
    if (this.#loop !== undefined) return;
    this.#stopping = new AbortController();
    this.#completions = this.#openCompletions();
    this.#unsubscribe = this.#options.wakeUps.onWork(() => this.nudge());
    await this.#renewal.start();
    await this.#heartbeats.start();
    this.#loop = this.#claimLoop();
  }

  /**
   * Stops claiming, waits for handlers until the deadline, aborts those that are left and gives their steps back without
   * costing the attempt; records what ended.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop().finally(() => {
      this.#stopped = undefined;
    });
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    if (this.#loop === undefined) return;
    const { logger, shutdownTimeoutMs, database } = this.#options;
    this.#unsubscribe();
    this.#stopping.abort();
    await this.#loop;
    await this.#atMost(shutdownTimeoutMs, Promise.all([...this.#running.values()].map((running) => running.done)));
    const left = [...this.#running.values()];
    // From here on what their handlers still send is dropped.
    this.#running.clear();
    for (const { controller } of left) controller.abort(new WorkerStoppingError("the worker stops"));
    // What ended is recorded, but an unreachable database does not hold the stop for ever.
    await this.#atMost(shutdownTimeoutMs, Promise.all([this.#completions.drained(), this.#lastHeartbeats()]));
    this.#completions.abandon();
    await this.#renewal.stop();
    await this.#heartbeats.stop();
    if (left.length > 0) {
      try {
        await releaseLeases(
          database,
          this.id,
          left.map((running) => running.claim),
        );
      } catch (error) {
        logger.warn({ err: error, steps: left.length }, "leases could not be returned; they will run out");
      }
    }
    this.#loop = undefined;
  }

  /** What the handlers told last, before their steps go back: another worker may go on from there. */
  async #lastHeartbeats(): Promise<void> {
    try {
      await this.#heartbeats.flush();
    } catch (error) {
      this.#options.logger.warn({ err: error }, "the last heartbeats could not be written");
    }
  }

  async #atMost(timeoutMs: number, work: Promise<unknown>): Promise<void> {
    const over = new AbortController();
    await Promise.race([work, sleep(this.#options.clock, timeoutMs, over.signal)]);
    over.abort();
  }

  /** Looks for work now. */
  nudge(): void {
    this.#woken = true;
    this.#wake();
  }

  /** Aborts the handlers of a task that was cancelled; renewing their leases would tell later. */
  abortTask(taskId: string): void {
    for (const { claim, controller } of this.#running.values()) {
      if (claim.taskId === taskId) controller.abort(new LeaseLostError("the task was cancelled"));
    }
  }

  async #claimLoop(): Promise<void> {
    const { signal } = this.#stopping;
    let failing = false;
    while (!signal.aborted) {
      this.#woken = false;
      let full = false;
      try {
        full = await this.#claimOnce();
        failing = false;
      } catch (error) {
        if (!failing) this.#options.logger.warn({ err: error }, "steps cannot be claimed; trying again");
        failing = true;
      }
      // With every slot taken the end of a handler wakes it; otherwise a wake-up or the poll.
      if (!full && (failing || !this.#woken)) await this.#pause(failing);
    }
  }

  /** Fills the free slots. Returns whether it should look again at once: it got all that it asked for, and slots are free. */
  async #claimOnce(): Promise<boolean> {
    const { database, registry, concurrency, completionBatch, leaseMs } = this.#options;
    const limit = concurrency - this.#running.size;
    if (limit <= 0 || registry.steps.size === 0) return false;
    // Back-pressure: work that cannot be recorded is not added to. The next batch that is recorded wakes it.
    this.#isHeldBack = this.#completions.waiting >= resultsHeldMax * Math.max(concurrency, completionBatch);
    if (this.#isHeldBack) return false;
    const { claims, isContended } = await claimSteps(database, {
      workerId: this.id,
      namedStepIds: [...registry.steps.keys()],
      limit,
      leaseMs,
    });
    if (claims.length > 0 && this.#running.size === 0) this.#renewal.begin();
    for (const claim of claims) {
      const step = registry.steps.get(claim.namedStepId);
      if (step !== undefined) this.#run(step, claim);
    }
    if (isContended && claims.length < limit) this.#askAgainSoon();
    else this.#contentions = 0;
    return claims.length === limit && this.#running.size < concurrency;
  }

  /**
   * Another claim held a concurrency limit under which there is room: it is over in a moment, and tells nobody. Each time in a row
   * the wait doubles, so that many workers under one limit do not ask all the time.
   */
  #askAgainSoon(): void {
    const { clock, pollIntervalMs } = this.#options;
    const longestMs = Math.min(pollIntervalMs, contentionDelayMs * 2 ** Math.min(this.#contentions++, 10));
    // One at a time: each claim that meets contention would otherwise begin a chain of its own.
    this.#askAgain?.cancel();
    this.#askAgain = clock.schedule(longestMs * (0.5 + Math.random() / 2), () => this.nudge(), { unref: true });
  }

  #pause(failing: boolean): Promise<void> {
    const { clock, pollIntervalMs } = this.#options;
    return new Promise((resolve) => {
      // Jitter, so that many workers do not look in step.
      const timer = clock.schedule(pollIntervalMs * (0.75 + Math.random() / 2), () => wake());
      const { signal } = this.#stopping;
      const wake = (): void => {
        timer.cancel();
        signal.removeEventListener("abort", wake);
        this.#wake = () => {};
        resolve();
      };
      signal.addEventListener("abort", wake);
      if (!failing) this.#wake = wake;
      if (signal.aborted) wake();
    });
  }

  #run(step: RegisteredStep, claim: Claim): void {
    const controller = new AbortController();
    const { database, registry, clock } = this.#options;
    const heartbeat = (progress: string | undefined): void => this.#heartbeats.add(claim, progress);
    const host = { sql: database, registry, clock, random: Math.random, heartbeat };
    const done = runAttempt(host, step, claim, controller).then((result) => this.#ended(claim, controller, result));
    this.#running.set(keyOf(claim), { claim, controller, done });
  }

  #ended(claim: Claim, controller: AbortController, result: AttemptResult): void {
    const wasFull = this.#running.size >= this.#options.concurrency;
    // Not there any more: the worker gave the step back when it stopped, and may since have claimed that very attempt again.
    if (this.#running.get(keyOf(claim))?.controller !== controller) return;
    this.#running.delete(keyOf(claim));
    this.#heartbeats.ended(claim);
    if (wasFull) this.nudge();
    // A handler that failed because its lease was lost says nothing about the step.
    const reason: unknown = controller.signal.reason;
    if (reason instanceof LeaseLostError && result.end.state !== "complete") return;
    this.#completions.add({ claim, owner: this.id, end: result.end, runUs: result.runUs });
  }

  #settled(batch: readonly Settlement[], settled: Settled): void {
    const { metrics, logger, wakeUps, clock } = this.#options;
    const late = lateOf(batch, settled.accepted);
    if (late.length > 0) {
      metrics.lateCompletions.add(late.length);
      logger.info(
        { steps: late.map((s) => s.claim.stepId) },
        "results came after their lease was lost; nothing was changed",
      );
    }
    if (this.#isHeldBack) this.nudge();
    wakeUps.wake([...settled.wakeNamespaces, ...freedLimits(batch, settled.accepted)]);
    for (const { end } of batch) {
      if (end.state === "waiting_for_retry") clock.schedule(end.delayMs + 1, () => this.nudge(), { unref: true });
    }
    if (settled.endedTasks.length > 0) this.#options.onTasksEnded?.(settled.endedTasks);
  }
}

function keyOf(claim: Claim): string {
  return `${claim.stepId}:${claim.life}:${claim.attempt}`;
}
