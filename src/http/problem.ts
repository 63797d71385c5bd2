import type { FastifyReply, FastifyRequest } from "fastify";

import { securityHeaders } from "./headers.ts";
import { problemKinds, type ProblemCode } from "./problem-codes.ts";

/** One thing that is wrong with a request: in a parameter of its URL or in a field of its body. */
export type RequestIssue =
  | { readonly parameter: string; readonly message: string }
  | { readonly field: string; readonly message: string };

/** What a caller is told; the cause stays in the log. */
export interface Problem {
  readonly code: ProblemCode;
  /** A sentence about this very occurrence. */
  readonly detail: string;
  readonly issues?: readonly RequestIssue[];
  /** When to try again, in whole seconds. */
  readonly retryAfterSeconds?: number;
}

/** The media type of problems (RFC 9457). */
const problemType = "application/problem+json; charset=utf-8";

/** The JSON text of a problem: RFC 9457's members, and ours. */
export function problemBody({ code, detail, issues }: Problem, requestId?: string): string {
  const { status, title } = problemKinds[code];
  const members = {
    type: `urn:tasker:problem:${code}`,
    title,
    status,
    detail,
    code,
    errors: issues,
    request_id: requestId,
  };
  return JSON.stringify(members);
}

/** Answers with a problem. Also where no hook has run: a URL that cannot be read meets none. */
export function sendProblem(request: FastifyRequest, reply: FastifyReply, problem: Problem): FastifyReply {
  const { status } = problemKinds[problem.code];
  const body = problemBody(problem, request.id);
  reply.code(status).headers(securityHeaders).header("x-request-id", request.id).header("cache-control", "no-store");
  if (problem.retryAfterSeconds !== undefined) reply.header("retry-after", String(problem.retryAfterSeconds));
  return reply.type(problemType).send(body);
}

/** The same for a request that never became one, written to the socket as it is. */
export function problemResponse(problem: Problem): string {
  const { status } = problemKinds[problem.code];
  const body = problemBody(problem);
  const headers = {
    ...securityHeaders,
    "content-type": problemType,
    "content-length": String(Buffer.byteLength(body)),
    connection: "close",
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  // The reason phrase may be empty (RFC 9112, section 4).
  return `HTTP/1.1 ${status} \r\n${lines.join("")}\r\n${body}`;
}
