import type { FastifyReply, FastifyRequest } from "fastify";

import { Deadlines } from "./deadlines.ts";
import type { FailedRequest, FailureLog } from "./failure-log.ts";
import type { HttpServerOptions } from "./options.ts";

const slowMs = 1_000;

export interface TrafficOptions extends Pick<HttpServerOptions, "clock" | "metrics" | "requestTimeoutMs"> {
  readonly log: FailureLog;
  /** Called for a request that was not answered in time. */
  readonly onExceeded: (reply: FastifyReply) => void;
}

/** The requests under way. Each has a deadline from its admission on; when its answer is handed over, it is counted. */
export class Traffic {
  readonly #options: TrafficOptions;
  readonly #deadlines: Deadlines<FastifyReply>;
  #closing = false;

  constructor(options: TrafficOptions) {
    this.#options = options;
    const { clock, requestTimeoutMs: timeoutMs, onExceeded } = options;
    this.#deadlines = new Deadlines({ clock, timeoutMs, onExceeded });
  }

  admit(reply: FastifyReply): void {
    this.#deadlines.begin(reply);
  }

  /** When the answer is handed over, not when the socket has taken it: listening to each response costs more than this. */
  answered(request: FastifyRequest, reply: FastifyReply, status: number): void {
    const durationMs = this.#deadlines.end(reply);
    const { metrics, log } = this.#options;
    metrics.httpRequests.add(1, { route: routeOf(request), status: String(status) });
    if (durationMs !== undefined && durationMs > slowMs) log.slow(aboutRequest(request), status, durationMs);
  }

  /** From now on connections end with the answer that is sent on them: kept ones would hold up the stop. */
  close(): void {
    this.#closing = true;
  }

  get closing(): boolean {
    return this.#closing;
  }
}

export function aboutRequest(request: FastifyRequest): FailedRequest {
  return { requestId: request.id, method: request.method, route: routeOf(request) };
}

/** The route's pattern, never the path that was asked: paths are unbounded. */
function routeOf(request: FastifyRequest): string {
  return request.routeOptions.url ?? "unknown";
}
