import { type Claim, claimSteps, releaseLeases, renewLeases } from "../engine/claim.ts";
import { newId } from "../engine/ids.ts";
import type { Settled, Settlement } from "../engine/settle.ts";
import type { WakeUps } from "../engine/wake-ups.ts";
import type { Database } from "../postgres/sql.ts";
import { type Clock, sleep } from "../runtime/clock.ts";
import { PeriodicService, type Service } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logging.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { RegisteredStep, TaskHandlerRegistry } from "../templates/task-handler-registry.ts";
import { type AttemptResult, runAttempt } from "./attempt.ts";
import { Completions } from "./completions.ts";
import { LeaseLostError, WorkerStoppingError } from "./handler-error.ts";

export interface WorkerSettings {
  /** Handlers at once. */
  readonly concurrency: number;
  readonly leaseMs: number;
  readonly leaseRenewMs: number;
  /** How often it looks for work that nobody told it of. */
  readonly pollIntervalMs: number;
  readonly completionBatch: number;
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

/** An attempt under way. */
interface Running {
  readonly claim: Claim;
  readonly controller: AbortController;
  /** Resolves when the handler is over. */
  readonly done: Promise<void>;
}

/** Claims steps, runs their handlers and records the results, until it is stopped. */
export class Worker implements Service {
  readonly name = "worker";
  readonly id = newId();
  readonly #options: WorkerOptions;
  #completions: Completions;
  readonly #renewal: PeriodicService;
  readonly #running = new Map<string, Running>();
  #stopping = new AbortController();
  #loop: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;
  #wake: () => void = () => {};
  #woken = false;
  #unsubscribe: () => void = () => {};
  #renewedMs = 0;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#completions = this.#openCompletions();
    this.#renewal = new PeriodicService({
      name: "lease renewal",
      intervalMs: options.leaseRenewMs,
      runOnce: () => this.#renew(),
      clock: options.clock,
      logger: options.logger,
    });
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
    await this.#atMost(shutdownTimeoutMs, this.#completions.drained());
    this.#completions.abandon();
    await this.#renewal.stop();
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
    const { database, registry, concurrency, leaseMs } = this.#options;
    const limit = concurrency - this.#running.size;
    if (limit <= 0 || registry.steps.size === 0) return false;
    const claims = await claimSteps(database, {
      workerId: this.id,
      namedStepIds: [...registry.steps.keys()],
      limit,
      leaseMs,
    });
    if (claims.length > 0 && this.#running.size === 0) this.#renewedMs = this.#options.clock.monotonicMs();
    for (const claim of claims) {
      const step = registry.steps.get(claim.namedStepId);
      if (step !== undefined) this.#run(step, claim);
    }
    return claims.length === limit && this.#running.size < concurrency;
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
    const host = { sql: database, registry, clock, random: Math.random };
    const done = runAttempt(host, step, claim, controller).then((result) => this.#ended(claim, controller, result));
    this.#running.set(keyOf(claim), { claim, controller, done });
  }

  #ended(claim: Claim, controller: AbortController, result: AttemptResult): void {
    const wasFull = this.#running.size >= this.#options.concurrency;
    // Not there any more: the worker gave the step back when it stopped, and may since have claimed that very attempt again.
    if (this.#running.get(keyOf(claim))?.controller !== controller) return;
    this.#running.delete(keyOf(claim));
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
    wakeUps.wake(settled.wakeNamespaces);
    for (const { end } of batch) {
      if (end.state === "waiting_for_retry") clock.schedule(end.delayMs + 1, () => this.nudge(), { unref: true });
    }
    if (settled.endedTasks.length > 0) this.#options.onTasksEnded?.(settled.endedTasks);
  }

  async #renew(): Promise<void> {
    const { database, clock, leaseMs } = this.#options;
    const held = [...this.#running.values()];
    if (held.length === 0) return;
    const askedMs = clock.monotonicMs();
    try {
      const still = await renewLeases(
        database,
        this.id,
        held.map((running) => running.claim),
        leaseMs,
      );
      this.#renewedMs = askedMs;
      for (const running of held) {
        if (!still.has(running.claim.stepId)) running.controller.abort(new LeaseLostError("the lease was lost"));
      }
    } catch (error) {
      // Nobody knows whether the leases hold; past their end another worker may be running the steps.
      if (clock.monotonicMs() - this.#renewedMs > leaseMs) {
        for (const { controller } of held)
          controller.abort(new LeaseLostError("the lease could not be renewed in time"));
      }
      throw error;
    }
  }
}

function keyOf(claim: Claim): string {
  return `${claim.stepId}:${claim.life}:${claim.attempt}`;
}

/**
 * The settlements that were not recorded. Of several attempts of one step the last is the accepted one: the lease of each other was
 * lost before the next was claimed.
 */
function lateOf(batch: readonly Settlement[], accepted: ReadonlySet<string>): Settlement[] {
  const last = new Map<string, Settlement>();
  for (const settlement of batch) {
    const { stepId, life, attempt } = settlement.claim;
    const other = last.get(stepId)?.claim;
    const isLater = other === undefined || life > other.life || (life === other.life && attempt > other.attempt);
    if (isLater) last.set(stepId, settlement);
  }
  return batch.filter((one) => !accepted.has(one.claim.stepId) || last.get(one.claim.stepId) !== one);
}
