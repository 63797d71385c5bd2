import { sqlState, sqlStateOf } from "./sqlstate.ts";

/**
 * Adds to an error what it means, when it is one that only a pooler in transaction mode causes: nothing else forgets prepared
 * statements, or refuses a startup message. Other errors stay as they are.
 */
export function hintAtPooler(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const hint = hintFor(sqlStateOf(error), error.message);
  // The same error, so that its code and stack stay.
  if (hint !== undefined) error.message += `: ${hint}`;
  return error;
}

function hintFor(state: string | undefined, message: string): string | undefined {
  if (message.includes("set [database]")) return undefined;
  if (state === sqlState.invalid_sql_statement_name || state === sqlState.duplicate_prepared_statement) {
    return "a pooler has changed the connection; set [database] prepared_statements = false, or have the pooler keep them (PgBouncer 1.21: max_prepared_statements)";
  }
  if (message.startsWith("unsupported startup parameter")) {
    return "this is a pooler; set [database] transaction_pooling = true, and direct_url to the server itself";
  }
  return undefined;
}
