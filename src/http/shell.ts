import {
  fastify,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type RawServerDefault,
} from "fastify";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { IncomingMessage, ServerResponse } from "node:http";

import { Addressees, isSameOrigin } from "./addressees.ts";
import { Deadlines } from "./deadlines.ts";
import { DeadlineExceededError } from "./errors.ts";
import { type FailedRequest, FailureLog } from "./failure-log.ts";
import { securityHeaders } from "./headers.ts";
import { answerMalformed } from "./malformed.ts";
import type { HttpServerOptions } from "./options.ts";
import { sendProblem } from "./problem.ts";
import { problemOf } from "./problem-of.ts";
import { rememberingParser } from "./query.ts";
import { requestIdOf } from "./request-id.ts";
import { compileValidator } from "./validation.ts";

/** What endpoints are added to. */
export type Shell = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** No id and no name in a path is longer. */
const pathPartMax = 128;
/** Node's own limits of how long headers may take and how often such limits are looked after. */
const headersTimeoutMsMax = 60_000;
const checkIntervalMsMax = 5_000;
const slowMs = 1_000;

/**
 * The path of every request: it is identified, admitted, parsed and checked, run, and its error mapped, in one place each.
 * Nothing here waits or is written to the log unless something is wrong: answers from the cache take this path.
 */
export function createShell(options: HttpServerOptions): Shell {
  const { bodyLimitBytes, requestTimeoutMs, logger, clock, metrics } = options;
  const log = new FailureLog(logger, clock);
  const shell: Shell = fastify({
    logger: false,
    bodyLimit: bodyLimitBytes,
    requestTimeout: requestTimeoutMs,
    http: {
      headersTimeout: Math.min(requestTimeoutMs, headersTimeoutMsMax),
      connectionsCheckingInterval: Math.min(requestTimeoutMs, checkIntervalMsMax),
    },
    genReqId: requestIdOf,
    requestIdHeader: false,
    // Requests on connections that are already open are answered while the server stops.
    return503OnClosing: false,
    routerOptions: { maxParamLength: pathPartMax, querystringParser: rememberingParser() },
    clientErrorHandler: answerMalformed,
    frameworkErrors: (error, request, reply) => fail(error, request, reply),
  });
  const fail = (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const problem = problemOf(error);
    log.failed(error, problem.code, aboutRequest(request));
    void sendProblem(request, reply, problem);
  };

  const deadlines = new Deadlines<FastifyReply>({
    clock,
    timeoutMs: requestTimeoutMs,
    onExceeded: (reply) => {
      if (!reply.sent) fail(new DeadlineExceededError(requestTimeoutMs), reply.request, reply);
    },
  });

  const addressees = new Addressees(options);
  shell.addHook("onRequest", (request, reply, next) => {
    deadlines.begin(reply);
    reply.headers(securityHeaders).header("x-request-id", request.id).header("cache-control", "no-store");
    const { host, origin } = request.headers;
    if (!addressees.accepts(host)) {
      void sendProblem(request, reply, {
        code: "forbidden_host",
        detail: "The Host header must name this server: add the name to [http] allowed_hosts if it is meant to",
      });
    } else if (origin !== undefined && !isSameOrigin(origin, host)) {
      void sendProblem(request, reply, {
        code: "forbidden_origin",
        detail: "The Origin header must name the host that was asked: other sites have no access",
      });
    } else next();
  });

  // When the answer is handed over, not when the socket has taken it: listening to each response costs more than this.
  shell.addHook("onSend", (request, reply, _payload, next) => {
    const durationMs = deadlines.end(reply);
    metrics.httpRequests.add(1, { route: routeOf(request), status: String(reply.statusCode) });
    if (durationMs !== undefined && durationMs > slowMs) log.slow(aboutRequest(request), reply.statusCode, durationMs);
    next();
  });

  shell.addHook("preClose", (done) => {
    // Connections that are kept for further requests would hold up the stop.
    for (const reply of deadlines.underway) reply.header("connection", "close");
    shell.server.keepAliveTimeout = 1;
    done();
  });

  // Any other type is refused: a page of another site can send forms and plain text without asking first.
  shell.removeContentTypeParser("text/plain");
  shell.setValidatorCompiler(({ schema, httpPart }) => compileValidator(schema, httpPart));
  shell.setErrorHandler(fail);
  shell.setNotFoundHandler((request, reply) =>
    sendProblem(request, reply, { code: "unknown_route", detail: "GET / lists what there is" }),
  );
  return shell;
}

function aboutRequest(request: FastifyRequest): FailedRequest {
  return { requestId: request.id, method: request.method, route: routeOf(request) };
}

/** The route's pattern, never the path that was asked: paths are unbounded. */
function routeOf(request: FastifyRequest): string {
  return request.routeOptions.url ?? "unknown";
}
