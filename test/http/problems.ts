import assert from "node:assert/strict";

import type { HttpServer } from "../../src/http/server.ts";

export type Response = Awaited<ReturnType<HttpServer["inject"]>>;

/** The members of a problem (RFC 9457). */
export interface ProblemBody {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly errors?: readonly { readonly parameter?: string; readonly field?: string; readonly message: string }[];
  readonly request_id: string;
}

/** Asserts that an answer is a well-formed problem of this status and code, and returns it. */
export function assertProblem(response: Response, status: number, code: string): ProblemBody {
  assert.equal(response.statusCode, status, response.body);
  assert.equal(response.headers["content-type"], "application/problem+json; charset=utf-8");
  assert.equal(response.headers["x-content-type-options"], "nosniff");
  assert.equal(response.headers["cache-control"], "no-store");
  const problem = response.json<ProblemBody>();
  assert.equal(problem.code, code);
  assert.equal(problem.status, status);
  assert.equal(problem.type, `urn:tasker:problem:${code}`);
  assert.equal(problem.request_id, response.headers["x-request-id"]);
  assert.ok(problem.title.length > 0 && problem.detail.length > 0);
  return problem;
}
