import { typeParsers } from "./decode.ts";
import type { Sql, Statement } from "./sql.ts";

/** What we need of a `pg` client: `pg.Client` and `pg.PoolClient` have it. */
export interface PgQueryable {
  query(config: PgQueryConfig): Promise<{ rows: object[] }>;
}

/** One statement in the shape of `pg`. Its arrays are mutable there, though it does not change them. */
export interface PgQueryConfig {
  name?: string;
  text: string;
  values?: unknown[];
  types?: typeof typeParsers;
}

/**
 * Runs a statement on a client of `pg` and returns its rows. A text of several statements (possible without values only)
 * has no rows.
 */
export async function runStatement<Row extends object>(client: PgQueryable, statement: Statement): Promise<Row[]> {
  const config: PgQueryConfig = { text: statement.text, types: typeParsers };
  if (statement.name !== undefined) config.name = statement.name;
  if (statement.values !== undefined) config.values = [...statement.values];
  const result = await client.query(config);
  // The row's type is the word of the caller, who wrote the statement.
  return Array.isArray(result) ? [] : (result.rows as Row[]);
}

/**
 * `Sql` over a caller's own `pg` client, so that our statements run in the caller's transaction. The rows are decoded as
 * everywhere else, whatever parsers the client or the application has set.
 *
 * @throws TypeError for a `pg.Pool`, which would run each statement on a connection, and in a transaction, of its own
 */
export function sqlOf(client: PgQueryable): Sql {
  if ("totalCount" in client) throw new TypeError("the transaction is a pool: pass the client that has begun it");
  return { query: (statement) => runStatement(client, statement) };
}
