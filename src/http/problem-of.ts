import { InvalidParameterError } from "../analytics/parameters.ts";
import { ComputeFailedElsewhereError, ComputeOverloadedError, ComputeTimeoutError } from "../cache/errors.ts";
import { IdempotencyConflictError, NotFoundError, WrongStateError } from "../engine/errors.ts";
import { CircuitOpenError } from "../postgres/breaker.ts";
import { isTransient, sqlState, sqlStateOf } from "../postgres/sqlstate.ts";
import { UnknownTemplateError } from "../templates/errors.ts";
import { InvalidPayloadError } from "../workflow/errors.ts";
import { DeadlineExceededError, InvalidRequestError } from "./errors.ts";
import type { Problem } from "./problem.ts";

/** What the caller is told of a failure. Messages of our own errors are for people; of all others nothing is told. */
export function problemOf(error: unknown): Problem {
  return callerMistake(error) ?? outage(error) ?? { code: "internal_error", detail: "The log of the server says why" };
}

function callerMistake(error: unknown): Problem | undefined {
  if (error instanceof InvalidRequestError) return { code: error.code, detail: error.message, issues: error.issues };
  if (
    error instanceof InvalidParameterError ||
    error instanceof InvalidPayloadError ||
    error instanceof UnknownTemplateError ||
    error instanceof NotFoundError ||
    error instanceof WrongStateError ||
    error instanceof IdempotencyConflictError
  ) {
    return { code: error.code, detail: error.message };
  }
  return frameworkProblem(error);
}

/** Those of Fastify's errors that a request can provoke, by their codes. */
const frameworkProblems: ReadonlyMap<string, Problem> = new Map([
  ["FST_ERR_CTP_INVALID_MEDIA_TYPE", mediaTypeProblem()],
  ["FST_ERR_CTP_EMPTY_TYPE", mediaTypeProblem()],
  ["FST_ERR_CTP_INVALID_JSON_BODY", { code: "invalid_json", detail: "The body is not a JSON text" }],
  ["FST_ERR_CTP_EMPTY_JSON_BODY", { code: "invalid_json", detail: "The body is empty" }],
  ["FST_ERR_CTP_BODY_TOO_LARGE", { code: "body_too_large", detail: "The body has more bytes than the server accepts" }],
  ["FST_ERR_BAD_URL", { code: "malformed_request", detail: "The path is not validly encoded" }],
  ["FST_ERR_MAX_PARAM_LENGTH", { code: "path_too_long", detail: "A part of the path is longer than any id" }],
]);

function mediaTypeProblem(): Problem {
  return { code: "unsupported_media_type", detail: "A body must be JSON and say so: content-type: application/json" };
}

function frameworkProblem(error: unknown): Problem | undefined {
  if (!(error instanceof Error && "code" in error && typeof error.code === "string")) return undefined;
  const known = frameworkProblems.get(error.code);
  if (known !== undefined) return known;
  // Also a body that broke off: Fastify gives the error of the stream this status.
  const isCallers = "statusCode" in error && error.statusCode === 400;
  return isCallers ? { code: "malformed_request", detail: "The request broke off or contradicts itself" } : undefined;
}

function outage(error: unknown): Problem | undefined {
  if (error instanceof CircuitOpenError) {
    const retryAfterSeconds = Math.max(1, Math.ceil(error.retryAfterMs / 1000));
    return { code: error.code, detail: "The database keeps failing; it is asked again soon", retryAfterSeconds };
  }
  if (
    error instanceof ComputeTimeoutError ||
    error instanceof ComputeFailedElsewhereError ||
    error instanceof ComputeOverloadedError ||
    error instanceof DeadlineExceededError
  ) {
    return { code: error.code, detail: `${error.message}; try again`, retryAfterSeconds: 1 };
  }
  if (sqlStateOf(error) === sqlState.query_canceled) {
    return {
      code: "database_timeout",
      detail: "The database took too long and was told to stop; try again",
      retryAfterSeconds: 1,
    };
  }
  if (isTransient(error)) {
    return {
      code: "database_unavailable",
      detail: "The database is not available at present; try again",
      retryAfterSeconds: 1,
    };
  }
  return undefined;
}
