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
import { DeadlineExceededError } from "./errors.ts";
import { FailureLog } from "./failure-log.ts";
import { securityHeaders } from "./headers.ts";
import { answerMalformed } from "./malformed.ts";
import type { HttpServerOptions } from "./options.ts";
import { sendProblem } from "./problem.ts";
import { problemOf } from "./problem-of.ts";
import { rememberingParser } from "./query.ts";
import { requestIdOf } from "./request-id.ts";
import { aboutRequest, Traffic } from "./traffic.ts";
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

/**
 * The path of every request: it is identified, admitted, parsed and checked, run, and its error mapped, in one place each.
 * Nothing here waits or is written to the log unless something is wrong: answers from the cache take this path.
 */
export function createShell(options: HttpServerOptions): { readonly shell: Shell; readonly traffic: Traffic } {
  const { bodyLimitBytes, requestTimeoutMs, logger, clock } = options;
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

  const traffic = new Traffic({
    ...options,
    log,
    onExceeded: (reply) => {
      if (!reply.sent) fail(new DeadlineExceededError(requestTimeoutMs), reply.request, reply);
    },
  });

  const addressees = new Addressees(options);
  shell.addHook("onRequest", (request, reply, next) => {
    traffic.admit(reply);
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

  shell.addHook("onSend", (request, reply, _payload, next) => {
    traffic.answered(request, reply, reply.statusCode);
    reply.headers(securityHeaders).header("x-request-id", request.id);
    if (!reply.hasHeader("cache-control")) reply.header("cache-control", "no-store");
    if (traffic.closing) reply.header("connection", "close");
    next();
  });

  shell.addHook("preClose", (done) => {
    traffic.close();
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
  return { shell, traffic };
}
