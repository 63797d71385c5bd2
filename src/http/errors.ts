import { TaskerError } from "../workflow/errors.ts";
import type { RequestIssue } from "./problem.ts";
import type { ProblemCode } from "./problem-codes.ts";

/** The port is taken. The message names it and says how to choose another. */
export class PortInUseError extends TaskerError {
  readonly code = "port_in_use";

  constructor(host: string, port: number, options: ErrorOptions) {
    super(
      `Port ${port} of ${host} is in use. Stop what listens there, or choose another with [http] port in the configuration ` +
        `or TASKER_HTTP_PORT in the environment; 0 takes a free one`,
      options,
    );
  }
}

/** Anyone who can reach the address would be let in, and nobody said that this is meant. */
export class UnauthenticatedAccessError extends TaskerError {
  readonly code = "unauthenticated_access";

  constructor(host: string) {
    super(
      `The server will not listen on ${host}: requests carry no credentials, and other machines could send them. ` +
        `Listen on 127.0.0.1 ([http] host), or, behind something that checks who asks, set [http] allow_unauthenticated = true ` +
        `(TASKER_HTTP_ALLOW_UNAUTHENTICATED=true)`,
    );
  }
}

type InvalidRequestCode = Extract<ProblemCode, "invalid_parameter" | "invalid_id" | "invalid_body">;

/** A request whose parts do not fit what the endpoint takes. */
export class InvalidRequestError extends TaskerError {
  readonly code: InvalidRequestCode;
  readonly issues: readonly RequestIssue[];

  constructor(code: InvalidRequestCode, issues: readonly RequestIssue[]) {
    super(issues.map((issue) => `${"field" in issue ? issue.field : issue.parameter} ${issue.message}`).join("; "));
    this.code = code;
    this.issues = issues;
  }
}

/** The request was not answered in time. */
export class DeadlineExceededError extends TaskerError {
  readonly code = "deadline_exceeded";

  constructor(timeoutMs: number) {
    super(`The request was not answered within ${timeoutMs} ms`);
  }
}
