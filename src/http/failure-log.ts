import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logging.ts";
import { problemKinds, type ProblemCode } from "./problem-codes.ts";

/** Of an outage that fails every request, one line in this time is enough. */
const outageLineMs = 1_000;

/** Where a failure was met. */
export interface FailedRequest {
  readonly requestId: string;
  readonly method: string;
  readonly route: string;
}

/**
 * The edge where causes are logged: the server's own failures, each once however many requests share it. What callers do
 * wrong is told to them, and not logged. An open breaker has said so itself.
 */
export class FailureLog {
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #logged = new WeakSet<object>();
  readonly #outages = new Map<ProblemCode, { lineMs: number; unlogged: number }>();

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  failed(error: unknown, code: ProblemCode, request: FailedRequest): void {
    const { status } = problemKinds[code];
    if (status < 500 || code === "circuit_breaker_open" || this.#wasLogged(error)) return;
    if (status === 500) this.#log("error", { ...request, err: error }, "a request failed");
    else this.#outage(error, code, request);
  }

  /** A request that succeeded, and took long. */
  slow(request: FailedRequest, status: number, durationMs: number): void {
    this.#log("warn", { ...request, status, durationMs: Math.round(durationMs) }, "a request was slow");
  }

  #outage(error: unknown, code: ProblemCode, request: FailedRequest): void {
    const nowMs = this.#clock.monotonicMs();
    const outage = this.#outages.get(code);
    if (outage !== undefined && nowMs - outage.lineMs < outageLineMs) {
      outage.unlogged += 1;
      return;
    }
    this.#outages.set(code, { lineMs: nowMs, unlogged: 0 });
    const others = outage === undefined || outage.unlogged === 0 ? {} : { othersUnlogged: outage.unlogged };
    this.#log("warn", { ...request, code, ...others, err: error }, "a request failed for now");
  }

  #wasLogged(error: unknown): boolean {
    if (typeof error !== "object" || error === null) return false;
    if (this.#logged.has(error)) return true;
    this.#logged.add(error);
    return false;
  }

  /** A host application may bring its own logger; one that throws must not fail a request. */
  #log(level: "warn" | "error", details: object, message: string): void {
    try {
      this.#logger[level](details, message);
    } catch {
      // There is nowhere left to report to.
    }
  }
}
