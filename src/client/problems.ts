import { ApiError, type ApiIssue } from "./errors.ts";

const shownCharactersMax = 200;

/** The error that an answer stands for: a problem of Tasker's, or whatever something between us and Tasker sent. */
export function problemOf(url: string, status: number, text: string, headers: Headers): ApiError {
  const retryAfterSeconds = secondsOf(headers.get("retry-after"));
  const requestId = headers.get("x-request-id") ?? undefined;
  const problem = /\bproblem\+json\b/u.test(headers.get("content-type") ?? "") ? membersOf(text) : undefined;
  if (problem === undefined) {
    const shown = text.trim().slice(0, shownCharactersMax);
    const detail = `${url} did not answer like Tasker${shown === "" ? "" : `: ${shown}`}`;
    return new ApiError({ code: "unknown", status, detail, requestId, retryAfterSeconds });
  }
  return new ApiError({
    code: textOf(problem["code"]) ?? "unknown",
    status,
    detail: textOf(problem["detail"]) ?? textOf(problem["title"]) ?? `The server answered ${status}`,
    errors: Array.isArray(problem["errors"]) ? problem["errors"].filter(isIssue) : [],
    requestId: textOf(problem["request_id"]) ?? requestId,
    retryAfterSeconds,
  });
}

/** Why no answer came, in words. fetch hides the reason one or two causes down. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof AggregateError && error.message === "" && error.errors.length > 0)
    return reasonOf(error.errors[0]);
  return error.cause instanceof Error ? reasonOf(error.cause) : error.message;
}

function membersOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function isIssue(value: unknown): value is ApiIssue {
  return typeof value === "object" && value !== null && "message" in value && typeof value.message === "string";
}

/** Retry-After in seconds; its other form, a date, is not used by Tasker. */
function secondsOf(value: string | null): number | undefined {
  return value !== null && /^\d+$/u.test(value) ? Number(value) : undefined;
}
