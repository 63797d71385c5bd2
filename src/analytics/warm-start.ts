import type { FleetCache } from "../cache/fleet.ts";
import { type Clock, sleep } from "../runtime/clock.ts";
import type { Service } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logging.ts";
import type { AnalyticsService } from "./analytics-service.ts";
import { defaultBottlenecks, defaultPerformance } from "./parameters.ts";

export interface WarmStartOptions {
  readonly analytics: Pick<AnalyticsService, "performance" | "bottlenecks">;
  /** What the fleet shares, if anything: through it one process computes for all. */
  readonly fleet: Pick<FleetCache, "health"> | undefined;
  /** How long the fleet's store is waited for; it connects in the background. After that the process warms for itself. */
  readonly fleetWaitMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How often the store is looked after; that asks nothing of it. */
const lookIntervalMs = 50;

/**
 * Has the answers to the default parameters, which every dashboard asks for, computed when the process starts, so that its first
 * reader finds them: in the background, one after the other, once, and by one process of a fleet that shares a store.
 *
 * A failure costs one line in the log: the first request then computes, as it would have without a warm start.
 */
export class WarmStart implements Service {
  readonly name = "warm start";
  readonly #options: WarmStartOptions;
  readonly #controller = new AbortController();
  #warming: Promise<void> | undefined;

  constructor(options: WarmStartOptions) {
    this.#options = options;
  }

  /** Begins, and waits for nothing. */
  start(): Promise<void> {
    this.#warming ??= this.#warm(this.#controller.signal);
    return Promise.resolve();
  }

  /** Leaves what is under way; a computation of it ends with the database's connections. */
  async stop(): Promise<void> {
    this.#controller.abort();
    await this.#warming;
  }

  /** Never rejects. */
  async #warm(signal: AbortSignal): Promise<void> {
    const { analytics } = this.#options;
    const asking = { counted: false, signal };
    try {
      await this.#untilFleetServes(signal);
      signal.throwIfAborted();
      await analytics.performance(defaultPerformance, asking);
      await analytics.bottlenecks(defaultBottlenecks, asking);
      this.#log("debug", {}, "The analytics' default answers are there for their first reader");
    } catch (error) {
      if (signal.aborted) return;
      const message =
        "The analytics' default answers could not be computed ahead; their first reader has them computed";
      this.#log("warn", { err: error }, message);
    }
  }

  /** So that the processes of a fleet, which start together, find each other before they compute. */
  async #untilFleetServes(signal: AbortSignal): Promise<void> {
    const { fleet, fleetWaitMs, clock } = this.#options;
    if (fleet === undefined) return;
    const deadlineMs = clock.monotonicMs() + fleetWaitMs;
    while (!signal.aborted && clock.monotonicMs() < deadlineMs && !(await fleet.health()).healthy) {
      await sleep(clock, lookIntervalMs, signal);
    }
  }

  /** A host application may bring its own logger; one that throws must not make this reject. */
  #log(level: "debug" | "warn", details: object, message: string): void {
    try {
      this.#options.logger[level]({ service: this.name, ...details }, message);
    } catch {
      // There is nowhere left to report to.
    }
  }
}
