import { randomUUID } from "node:crypto";

import type { PgQueryable } from "../statement.ts";
import { portable, rowsOf } from "./portable.ts";

/** A compiled query in the shape of Kysely. */
export interface KyselyQuery {
  readonly sql: string;
  readonly parameters: readonly unknown[];
  readonly query: { readonly kind: "RawNode"; readonly sqlFragments: readonly string[]; readonly parameters: [] };
  readonly queryId: { readonly queryId: string };
}

/** What is needed of a transaction of Kysely 0.27 or newer: `Transaction` and `ControlledTransaction` have it. */
export interface KyselyTransaction {
  readonly isTransaction: true;
  executeQuery(query: KyselyQuery): PromiseLike<{ readonly rows: unknown[] }>;
}

/**
 * A transaction of Kysely as `submit` takes it: `tasker.submit(task, input, { transaction: kyselyTransaction(trx) })`.
 *
 * @throws TypeError when it is no transaction (a `Kysely` would commit the task at once, whatever becomes of the rows)
 */
export function kyselyTransaction(transaction: KyselyTransaction): PgQueryable {
  // A program without types may bring anything.
  const { isTransaction }: { readonly isTransaction: unknown } = transaction;
  if (isTransaction !== true) throw new TypeError("kyselyTransaction needs the transaction, not the Kysely instance");
  return {
    async query(config) {
      const { text, values } = portable(config);
      const answer = await transaction.executeQuery({
        sql: text,
        parameters: values,
        query: { kind: "RawNode", sqlFragments: [text], parameters: [] },
        queryId: { queryId: randomUUID() },
      });
      return { rows: rowsOf(answer) };
    },
  };
}
