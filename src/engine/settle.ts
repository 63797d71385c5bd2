import type { Sql } from "../postgres/sql.ts";
import type { FailureDecision } from "../workflow/retry.ts";
import type { Claim, HeldClaim } from "./claim.ts";

/** How an attempt ended. `output` and `error` are JSON text. */
export type AttemptEnd =
  | { readonly state: "complete"; readonly output: string }
  | (FailureDecision & { readonly error: string });

/** The end of one attempt, as its worker or the rescuer reports it. */
export interface Settlement {
  readonly claim: HeldClaim & { readonly taskId: string } & Partial<Pick<Claim, "limitedNamespaceId">>;
  /** Who holds the lease. */
  readonly owner: string;
  readonly end: AttemptEnd;
  /** The handler's run time as measured, in microseconds; null when nobody measured it. */
  readonly runUs: number | null;
  /** Only if the lease has run out by now (the rescuer's condition). */
  readonly expiredOnly?: boolean;
}

/** What a batch of settlements changed. */
export interface Settled {
  /** Steps whose settlement was recorded; the others had lost their lease, and nothing was written for them. */
  readonly accepted: ReadonlySet<string>;
  /** Tasks that ended with this batch. */
  readonly endedTasks: readonly string[];
  /** Namespaces in which steps became claimable, now or after a retry's delay. */
  readonly wakeNamespaces: readonly number[];
}

/** Records a batch of attempts' ends in one round trip and one transaction: all that follows from them included. */
export async function settleSteps(sql: Sql, settlements: readonly Settlement[], actor: string): Promise<Settled> {
  const [row] = await sql.query<{ accepted: string[]; ended_tasks: string[]; wake_namespaces: number[] }>({
    name: "settle_steps",
    text: "select accepted, ended_tasks, wake_namespaces from tasker.settle_steps($1::jsonb, $2)",
    values: [`[${settlements.map(encodeSettlement).join(",")}]`, actor],
  });
  return {
    accepted: new Set(row?.accepted),
    endedTasks: row?.ended_tasks ?? [],
    wakeNamespaces: row?.wake_namespaces ?? [],
  };
}

function encodeSettlement({ claim, owner, end, runUs, expiredOnly }: Settlement): string {
  const fields = JSON.stringify({
    step_id: claim.stepId,
    task_id: claim.taskId,
    life: claim.life,
    attempt: claim.attempt,
    owner,
    state: end.state,
    run_us: runUs,
    delay_ms: end.state === "waiting_for_retry" ? end.delayMs : undefined,
    expired: expiredOnly,
  });
  // JSON text already: put in as it is.
  const payload = end.state === "complete" ? `"output":${end.output}` : `"error":${end.error}`;
  return `${fields.slice(0, -1)},${payload}}`;
}

/** The error of an attempt as it is stored and shown: no more than the error's own name, message, code and stack. */
export interface StoredError {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
}

const textMax = 16_384;

/** An error as JSON text, bounded, with what Postgres cannot store replaced. Takes whatever was thrown; never throws. */
export function encodeError(error: unknown): string {
  try {
    return JSON.stringify(describe(error));
  } catch {
    // A getter or a proxy that throws.
    return JSON.stringify({ name: "Error", message: "thrown: an error that cannot be read" } satisfies StoredError);
  }
}

function describe(error: unknown): StoredError {
  if (!(error instanceof Error)) {
    return { name: "Error", message: clean(typeof error === "string" ? error : `thrown: ${safeJson(error)}`) };
  }
  return {
    name: clean(error.name),
    message: clean(error.message),
    ...("code" in error && typeof error.code === "string" ? { code: clean(error.code) } : {}),
    ...(error.stack === undefined ? {} : { stack: clean(error.stack) }),
  };
}

/** Anybody may have put anything into an error's properties. */
function clean(text: unknown): string {
  return String(text).slice(0, textMax).toWellFormed().replaceAll("\0", "\uFFFD");
}

function safeJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}
