/** One thing that is wrong with a request: in a parameter of its URL or in a field of its body. */
export interface ApiIssue {
  readonly parameter?: string;
  readonly field?: string;
  readonly message: string;
}

/** The server answered that it will not, or cannot, do what was asked (RFC 9457). */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /** Stable and machine readable, as in docs/http-api.md; `unknown` when the answer did not come from Tasker. */
  readonly code: string;
  /** The HTTP status. */
  readonly status: number;
  /** A sentence about this very occurrence. */
  readonly detail: string;
  /** What is wrong with the request, part by part. */
  readonly errors: readonly ApiIssue[];
  /** Finds the request in the server's log. */
  readonly requestId: string | undefined;
  /** When to try again, if the server said so. */
  readonly retryAfterSeconds: number | undefined;

  constructor(problem: {
    readonly code: string;
    readonly status: number;
    readonly detail: string;
    readonly errors?: readonly ApiIssue[];
    readonly requestId?: string | undefined;
    readonly retryAfterSeconds?: number | undefined;
  }) {
    super(`${problem.detail} (${problem.status} ${problem.code})`);
    this.code = problem.code;
    this.status = problem.status;
    this.detail = problem.detail;
    this.errors = problem.errors ?? [];
    this.requestId = problem.requestId;
    this.retryAfterSeconds = problem.retryAfterSeconds;
  }
}

/** No answer came: nothing listens there, the connection broke, or the wait was ended by the caller's signal. */
export class UnreachableError extends Error {
  override readonly name = "UnreachableError";
  readonly code = "unreachable";
  readonly url: string;

  constructor(url: string, reason: string, options: ErrorOptions) {
    super(`${url} cannot be reached: ${reason}`, options);
    this.url = url;
  }
}
