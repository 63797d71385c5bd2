import type { Sql } from "../postgres/sql.ts";

/** The largest limit of concurrent steps; who needs more needs none. */
export const concurrencyLimitMax = 1_000_000;

const namespacePattern = /^[a-z][a-z0-9_-]{0,62}$/u;

/**
 * Sets how many steps of a namespace may run at once in the whole fleet, from the next claims on: what runs already runs on.
 *
 * @param maxRunning 0 to a million, where 0 pauses the namespace; null removes the limit
 * @returns the id of the namespace, in which steps may have become claimable
 * @throws RangeError; nothing is written then
 */
export async function limitNamespace(sql: Sql, namespace: string, maxRunning: number | null): Promise<number> {
  if (!namespacePattern.test(namespace)) {
    throw new RangeError(
      `a namespace must be 1 to 63 of a-z, 0-9, _ and -, beginning with a letter, got ${JSON.stringify(namespace)}`,
    );
  }
  if (maxRunning !== null && !(Number.isInteger(maxRunning) && maxRunning >= 0 && maxRunning <= concurrencyLimitMax)) {
    throw new RangeError(
      `the concurrency limit of ${namespace} must be a whole number from 0 to ${concurrencyLimitMax}, or null for none, got ${maxRunning}`,
    );
  }
  const [row] = await sql.query<{ id: number }>({
    text: "select tasker.limit_namespace($1, $2) as id",
    values: [namespace, maxRunning],
  });
  if (row === undefined) throw new Error(`the concurrency limit of ${namespace} was not set`);
  return row.id;
}

/** Sets how many attempts of each step of a template may run at once; null: no limit. A step that is not named has none. */
export async function limitSteps(
  sql: Sql,
  namedTaskId: number,
  limits: readonly { readonly namedStepId: number | undefined; readonly maxRunning: number | null }[],
): Promise<void> {
  await sql.query({
    text: "select tasker.limit_steps($1, $2::integer[], $3::integer[])",
    values: [namedTaskId, limits.map((limit) => limit.namedStepId), limits.map((limit) => limit.maxRunning)],
  });
}
