import assert from "node:assert/strict";
import { test } from "node:test";

import { InvalidParameterError } from "../../src/analytics/parameters.ts";
import { ComputeOverloadedError, ComputeTimeoutError } from "../../src/cache/errors.ts";
import { IdempotencyConflictError, NotFoundError, WrongStateError } from "../../src/engine/errors.ts";
import { DeadlineExceededError, InvalidRequestError } from "../../src/http/errors.ts";
import { problemKinds } from "../../src/http/problem-codes.ts";
import { problemOf } from "../../src/http/problem-of.ts";
import { CircuitOpenError } from "../../src/postgres/breaker.ts";
import { sqlState } from "../../src/postgres/sqlstate.ts";
import { UnknownTemplateError } from "../../src/templates/errors.ts";
import { InvalidPayloadError } from "../../src/workflow/errors.ts";
import { connectionRefused, serverError } from "./faulty-database.ts";

const issue = { parameter: "hours", message: "is wrong" };

/** Every error that may reach the edge, and what becomes of it. */
const mapping: readonly (readonly [error: unknown, status: number, code: string, retryAfterSeconds?: number])[] = [
  [new InvalidRequestError("invalid_parameter", [issue]), 400, "invalid_parameter"],
  [new InvalidRequestError("invalid_id", [issue]), 400, "invalid_id"],
  [new InvalidRequestError("invalid_body", [issue]), 400, "invalid_body"],
  [new InvalidParameterError("no"), 400, "invalid_parameter"],
  [new InvalidPayloadError("no"), 400, "invalid_payload"],
  [new UnknownTemplateError("no"), 404, "unknown_template"],
  [new NotFoundError("no"), 404, "not_found"],
  [new WrongStateError("no"), 409, "wrong_state"],
  [new IdempotencyConflictError("no"), 409, "idempotency_conflict"],
  [new ComputeTimeoutError("performance", 5), 503, "compute_timeout", 1],
  [new ComputeOverloadedError("performance", 5), 503, "compute_overloaded", 1],
  [new DeadlineExceededError(5), 503, "deadline_exceeded", 1],
  [new CircuitOpenError("engine", 1_200), 503, "circuit_breaker_open", 2],
  [new CircuitOpenError("engine", 0), 503, "circuit_breaker_open", 1],
  [connectionRefused(), 503, "database_unavailable", 1],
  [serverError(sqlState.admin_shutdown), 503, "database_unavailable", 1],
  [serverError(sqlState.too_many_connections), 503, "database_unavailable", 1],
  [serverError(sqlState.deadlock_detected), 503, "database_unavailable", 1],
  [new Error("timeout exceeded when trying to connect"), 503, "database_unavailable", 1],
  [serverError(sqlState.query_canceled), 503, "database_timeout", 1],
  [serverError(sqlState.undefined_table), 500, "internal_error"],
  [new TypeError("a secret of ours"), 500, "internal_error"],
  [Object.assign(new Error("a secret of ours"), { statusCode: 418, code: "TEAPOT" }), 500, "internal_error"],
  ["a secret", 500, "internal_error"],
  [undefined, 500, "internal_error"],
];

test("every error has its problem, and one that is not ours tells nothing of itself", () => {
  for (const [error, status, code, retryAfterSeconds] of mapping) {
    const problem = problemOf(error);
    assert.equal(problem.code, code, String(error));
    assert.equal(problemKinds[problem.code].status, status);
    assert.equal(problem.retryAfterSeconds, retryAfterSeconds, code);
    assert.doesNotMatch(JSON.stringify(problem), /secret|10\.1\.2\.3|SQLSTATE/u);
  }
});

test("the mistakes of a request are told one by one", () => {
  const issues = [issue, { field: "tags", message: "is wrong too" }];
  const problem = problemOf(new InvalidRequestError("invalid_body", issues));
  assert.deepEqual(problem.issues, issues);
  assert.equal(problem.detail, "hours is wrong; tags is wrong too");
});
