import type { PgQueryable } from "../statement.ts";
import { portable, rowsOf } from "./portable.ts";

/** What is needed of the client that Prisma gives to the function of an interactive transaction. */
export interface PrismaTransaction {
  $queryRawUnsafe(query: string, ...values: unknown[]): PromiseLike<unknown>;
  /** Only a client that is no transaction has it. */
  readonly $connect?: never;
}

/**
 * An interactive transaction of Prisma as `submit` takes it: `tasker.submit(task, input, { transaction: prismaTransaction(tx) })`.
 *
 * @throws TypeError when it is no transaction (a `PrismaClient` would commit the task at once, whatever becomes of the rows)
 */
export function prismaTransaction(transaction: PrismaTransaction): PgQueryable {
  // A program without types may bring anything.
  const { $connect }: { readonly $connect?: unknown } = transaction;
  if ($connect !== undefined) throw new TypeError("prismaTransaction needs the transaction, not the PrismaClient");
  return {
    async query(config) {
      const { text, values } = portable(config);
      return { rows: rowsOf(await transaction.$queryRawUnsafe(text, ...values)) };
    },
  };
}
