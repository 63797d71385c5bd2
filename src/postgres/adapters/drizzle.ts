import type { PgQueryable } from "../statement.ts";
import { placeholders, portable, rowsOf } from "./portable.ts";

/** What is needed of a transaction of Drizzle on Postgres, whichever driver it has. */
export interface DrizzleTransaction<Query> {
  execute(query: Query): PromiseLike<unknown>;
  /** Tells a transaction from the database. */
  rollback(): never;
}

/** The `sql` tag of `drizzle-orm`. */
export interface DrizzleSql<Query> {
  (strings: TemplateStringsArray, ...values: unknown[]): Query;
  param(value: unknown): unknown;
}

/**
 * A transaction of Drizzle as `submit` takes it: `tasker.submit(task, input, { transaction: drizzleTransaction(tx, sql) })`.
 *
 * @param sql the tag of `drizzle-orm`, which makes the queries
 * @throws TypeError when it is no transaction (a database would commit the task at once, whatever becomes of the rows)
 */
export function drizzleTransaction<Query>(transaction: DrizzleTransaction<Query>, sql: DrizzleSql<Query>): PgQueryable {
  // A program without types may bring anything.
  if (!("rollback" in transaction)) throw new TypeError("drizzleTransaction needs the transaction, not the database");
  return {
    async query(config) {
      const { text, values } = portable(config);
      const parameters = [...text.matchAll(placeholders)].map(([, position]) =>
        sql.param(values[Number(position) - 1]),
      );
      const fragments = text.split(/\$\d+/u);
      const answer = await transaction.execute(sql(Object.assign(fragments, { raw: fragments }), ...parameters));
      return { rows: rowsOf(answer) };
    },
  };
}
