/** Names of the SQLSTATE codes that the product tells apart (PostgreSQL documentation, appendix A). */
export const sqlState = {
  connection_exception: "08000",
  connection_does_not_exist: "08003",
  connection_failure: "08006",
  feature_not_supported: "0A000",
  foreign_key_violation: "23503",
  not_null_violation: "23502",
  unique_violation: "23505",
  check_violation: "23514",
  exclusion_violation: "23P01",
  idle_in_transaction_session_timeout: "25P03",
  invalid_sql_statement_name: "26000",
  invalid_password: "28P01",
  invalid_catalog_name: "3D000",
  serialization_failure: "40001",
  deadlock_detected: "40P01",
  undefined_column: "42703",
  undefined_function: "42883",
  undefined_table: "42P01",
  duplicate_prepared_statement: "42P05",
  duplicate_database: "42P04",
  invalid_schema_name: "3F000",
  disk_full: "53100",
  too_many_connections: "53300",
  object_in_use: "55006",
  lock_not_available: "55P03",
  query_canceled: "57014",
  admin_shutdown: "57P01",
  crash_shutdown: "57P02",
  cannot_connect_now: "57P03",
  raise_exception: "P0001",
} as const;

const transientStates: ReadonlySet<string> = new Set([
  sqlState.connection_exception,
  sqlState.connection_does_not_exist,
  sqlState.connection_failure,
  sqlState.idle_in_transaction_session_timeout,
  sqlState.serialization_failure,
  sqlState.deadlock_detected,
  sqlState.too_many_connections,
  sqlState.lock_not_available,
  sqlState.admin_shutdown,
  sqlState.crash_shutdown,
  sqlState.cannot_connect_now,
]);

/** Errors of the socket below the driver, by Node's `code`. */
const transientSocketCodes: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
]);

/** `pg` says these in words only (pg 8.23: client.js, pg-pool). */
const transientMessages = [
  "Connection terminated",
  "Client has encountered a connection error",
  "timeout exceeded when trying to connect",
  "Query read timeout",
] as const;

/** The five characters with which Postgres classifies an error; undefined when the error did not come from Postgres. */
export function sqlStateOf(error: unknown): string | undefined {
  const code = codeOf(error);
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) && !transientSocketCodes.has(code) && isServerError(error)
    ? code
    : undefined;
}

/**
 * True when the same work may succeed if it is tried again: the connection was lost or refused, the server starts or stops,
 * or the transaction lost against another one. Says nothing about whether a lost `commit` took place.
 */
export function isTransient(error: unknown): boolean {
  const state = sqlStateOf(error);
  if (state !== undefined) return transientStates.has(state);
  const code = codeOf(error);
  if (code !== undefined && transientSocketCodes.has(code)) return true;
  // A host name with several addresses fails with one error for all of them.
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.every(isTransient);
  return error instanceof Error && transientMessages.some((message) => error.message.startsWith(message));
}

function codeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** Node has codes of five capitals too (EPIPE); what Postgres sends always carries a severity. */
function isServerError(error: unknown): boolean {
  return typeof error === "object" && error !== null && "severity" in error;
}
