/** What a code says of every problem that has it. */
export interface ProblemKind {
  readonly status: number;
  readonly title: string;
}

/** The stable codes of every problem there is, in the order of docs/http-api.md, which lists them too. */
export const problemKinds = {
  malformed_request: { status: 400, title: "The request could not be read" },
  invalid_parameter: { status: 400, title: "A query parameter is not valid" },
  invalid_id: { status: 400, title: "An id or a name in the path is not valid" },
  invalid_json: { status: 400, title: "The body is not JSON" },
  invalid_body: { status: 400, title: "A field of the body is not valid" },
  invalid_payload: { status: 400, title: "The input is not accepted" },
  forbidden_host: { status: 403, title: "The server is not addressed by this name" },
  forbidden_origin: { status: 403, title: "Pages of another origin have no access" },
  unknown_route: { status: 404, title: "There is nothing at this path" },
  not_found: { status: 404, title: "There is no such thing" },
  unknown_template: { status: 404, title: "There is no such template" },
  method_not_allowed: { status: 405, title: "The method does not fit the path" },
  request_timeout: { status: 408, title: "The request did not arrive in time" },
  idempotency_conflict: { status: 409, title: "The idempotency key was used with another input" },
  wrong_state: { status: 409, title: "The present state does not allow the change" },
  body_too_large: { status: 413, title: "The body is too large" },
  path_too_long: { status: 414, title: "A part of the path is too long" },
  unsupported_media_type: { status: 415, title: "The body is not application/json" },
  headers_too_large: { status: 431, title: "The headers are too large" },
  internal_error: { status: 500, title: "The server failed" },
  circuit_breaker_open: { status: 503, title: "The database keeps failing and is not asked" },
  compute_failed: { status: 503, title: "Computing the answer has just failed" },
  compute_overloaded: { status: 503, title: "Too many answers are being computed" },
  compute_timeout: { status: 503, title: "The answer took too long to compute" },
  database_timeout: { status: 503, title: "The database took too long" },
  database_unavailable: { status: 503, title: "The database is not available" },
  deadline_exceeded: { status: 503, title: "The request took too long" },
} as const satisfies Record<string, ProblemKind>;

export type ProblemCode = keyof typeof problemKinds;
