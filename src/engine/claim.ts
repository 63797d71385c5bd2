import type { Sql } from "../postgres/sql.ts";

/** The right to run one attempt of a step until its lease ends. */
export interface Claim {
  readonly stepId: string;
  readonly taskId: string;
  readonly namedStepId: number;
  readonly revisionId: number;
  /** 1, and one more after each reset. */
  readonly life: number;
  /** 1 for the first attempt of the life. */
  readonly attempt: number;
  /** Attempts of this life that failed before. */
  readonly failedAttempts: number;
  readonly input: unknown;
  /** Whether the template's schema has accepted the input already. */
  readonly inputChecked: boolean;
  /** The outputs of the parents by step name; null without parents. */
  readonly results: Record<string, unknown> | null;
  readonly correlationId: string | null;
  /** The namespace of a step that a concurrency limit concerns: its end may let another one start. */
  readonly limitedNamespaceId: number | null;
}

/** What a worker got. */
export interface Claimed {
  readonly claims: Claim[];
  /** There was room under a concurrency limit, but another claim held it: it is worth to ask again soon. */
  readonly isContended: boolean;
}

interface ClaimRow {
  /** Null in the row that tells of contention. */
  step_id: string | null;
  task_id: string;
  named_step_id: number;
  revision_id: number;
  life: number;
  attempt: number;
  failed_attempts: number;
  input: unknown;
  input_checked: boolean;
  results: Record<string, unknown> | null;
  correlation_id: string | null;
  limited_namespace_id: number | null;
}

/**
 * Claims up to `limit` steps of the given kinds for a worker, by priority, then by age, as far as concurrency limits allow; leased
 * for `leaseMs`.
 */
export async function claimSteps(
  sql: Sql,
  options: {
    readonly workerId: string;
    readonly namedStepIds: readonly number[];
    readonly limit: number;
    readonly leaseMs: number;
  },
): Promise<Claimed> {
  const rows = await sql.query<ClaimRow>({
    name: "claim_steps",
    text: `select step_id, task_id, named_step_id, revision_id, life, attempt, failed_attempts, input, input_checked, results, correlation_id,
        limited_namespace_id from tasker.claim_steps($1, $2, $3, $4)`,
    values: [options.workerId, options.namedStepIds, options.limit, options.leaseMs],
  });
  const claims: Claim[] = [];
  for (const row of rows) {
    if (row.step_id === null) continue;
    claims.push({
      stepId: row.step_id,
      taskId: row.task_id,
      namedStepId: row.named_step_id,
      revisionId: row.revision_id,
      life: row.life,
      attempt: row.attempt,
      failedAttempts: row.failed_attempts,
      input: row.input,
      inputChecked: row.input_checked,
      results: row.results,
      correlationId: row.correlation_id,
      limitedNamespaceId: row.limited_namespace_id,
    });
  }
  return { claims, isContended: claims.length < rows.length };
}

/** A claim as renewing and returning name it. */
export type HeldClaim = Pick<Claim, "stepId" | "life" | "attempt">;

/** Prolongs a worker's leases in one statement. Returns the ids of the steps it still holds; the others are lost. */
export async function renewLeases(
  sql: Sql,
  workerId: string,
  claims: readonly HeldClaim[],
  leaseMs: number,
): Promise<Set<string>> {
  const rows = await sql.query<{ id: string }>({
    name: "renew_leases",
    text: "select id from tasker.renew_leases($1, $2::uuid[], $3::integer[], $4::integer[], $5) id",
    values: [workerId, ...columnsOf(claims), leaseMs],
  });
  return new Set(rows.map((row) => row.id));
}

/** Gives claims back without costing them the attempt. Returns how many were still held. */
export async function releaseLeases(sql: Sql, workerId: string, claims: readonly HeldClaim[]): Promise<number> {
  const rows = await sql.query<{ id: string }>({
    text: "select id from tasker.release_leases($1, $2::uuid[], $3::integer[], $4::integer[]) id",
    values: [workerId, ...columnsOf(claims)],
  });
  return rows.length;
}

function columnsOf(claims: readonly HeldClaim[]): [string[], number[], number[]] {
  return [claims.map((c) => c.stepId), claims.map((c) => c.life), claims.map((c) => c.attempt)];
}
