import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logging.ts";
import type { CacheUsageContext } from "./contract.ts";
import { CacheStoreError } from "./errors.ts";
import type { CacheMetrics, CacheOperation } from "./metrics.ts";

/** So long without a failure counts as recovered; a store that fails now and then must not write two lines each time. */
const recoveredAfterMs = 10_000;
/** So long counts as recovered too for an operation that has not been tried again. */
const forgottenAfterMs = 3_600_000;

export interface CacheFaultsOptions {
  readonly provider: string;
  readonly context: CacheUsageContext;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: CacheMetrics;
}

/**
 * Survived failures of one cache: each is counted; one line is logged when failing begins and one when it is over, which only
 * the operations that failed can tell: a full store answers reads all the time. An outage of the whole store has its lines from the
 * store itself.
 */
export class CacheFaults {
  readonly #options: CacheFaultsOptions;
  #failing: { count: number; lastMs: number; readonly operations: Set<CacheOperation> } | undefined;

  constructor(options: CacheFaultsOptions) {
    this.#options = options;
  }

  failed(operation: CacheOperation, error: unknown): void {
    const { provider, context, clock, metrics } = this.#options;
    const isOfStore = error instanceof CacheStoreError;
    metrics.error(provider, context, isOfStore ? error.reason : operation);
    if (isOfStore && error.isOutage) return;
    const begins = this.#failing === undefined;
    this.#failing ??= { count: 0, lastMs: 0, operations: new Set() };
    this.#failing.count += 1;
    this.#failing.lastMs = clock.monotonicMs();
    this.#failing.operations.add(operation);
    if (begins) {
      this.#log("warn", { operation, err: error }, `The cache of ${context} fails; everything goes on without it`);
    }
  }

  /** Cheap when nothing fails: it is called for each operation. */
  succeeded(operation: CacheOperation): void {
    if (this.#failing === undefined) return;
    const { context, clock } = this.#options;
    const { count, lastMs, operations } = this.#failing;
    const quietMs = clock.monotonicMs() - lastMs;
    if (quietMs < recoveredAfterMs) return;
    operations.delete(operation);
    if (operations.size > 0 && quietMs < forgottenAfterMs) return;
    this.#failing = undefined;
    this.#log("info", { failures: count }, `The cache of ${context} works again`);
  }

  /** A host application may bring its own logger; one that throws must not fail a request. */
  #log(level: "info" | "warn", details: Readonly<Record<string, unknown>>, message: string): void {
    const { provider, context, logger } = this.#options;
    try {
      logger[level]({ provider, context, ...details }, message);
    } catch {
      // There is nowhere left to report to, and the failure has been counted.
    }
  }
}
