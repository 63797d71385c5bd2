import type { CheckedOutConnection } from "./connection.ts";
import type { Sql, TransactionOptions } from "./sql.ts";

/** A transaction was used against its rules. */
export class TransactionError extends Error {
  override readonly name = "TransactionError";
  /** `transaction_aborted`: nothing was committed, a statement had failed. `transaction_ended`: used after its end. */
  readonly code: "transaction_aborted" | "transaction_ended";

  constructor(code: TransactionError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Runs `work` between `begin` and `commit`; rolls back when it rejects, and rejects with what it rejected with. A connection
 * whose rollback fails is discarded.
 *
 * @param localSettings statements that set what holds for this transaction, as in `set local statement_timeout = 100`
 * @throws TransactionError `transaction_aborted` when `work` resolved although one of its statements had failed: Postgres
 *   answers the `commit` of such a transaction with a rollback, and no error.
 */
export async function runTransaction<T>(
  connection: CheckedOutConnection,
  work: (sql: Sql) => Promise<T>,
  options: TransactionOptions,
  localSettings: readonly string[] = [],
): Promise<T> {
  // One message, so that the settings cost no round trip.
  await connection.query({ text: [beginText(options), ...localSettings].join("; ") });
  const scope = new TransactionScope(connection);
  let result: T;
  try {
    result = await work(scope);
  } catch (error) {
    scope.end();
    await rollback(connection);
    throw error;
  }
  scope.end();
  if (!(await connection.commit())) {
    throw new TransactionError(
      "transaction_aborted",
      "a statement of this transaction failed and its error was caught, so nothing was committed: let the error through",
    );
  }
  return result;
}

function beginText({ isolation, readOnly }: TransactionOptions): string {
  return ["begin", isolation && `isolation level ${isolation}`, readOnly === true && "read only"]
    .filter((part) => typeof part === "string")
    .join(" ");
}

async function rollback(connection: CheckedOutConnection): Promise<void> {
  // Whoever waited in vain for one answer should not have to wait for another. The connection is closed at its release.
  if (connection.isUnusable) return;
  try {
    await connection.query({ text: "rollback" });
  } catch {
    // The server rolls back when the connection goes; the caller hears of the error that led here.
    connection.discard();
  }
}

/** What `work` sees of the connection: nothing any more once the transaction has ended, lest a forgotten await run outside. */
class TransactionScope implements Sql {
  readonly #connection: CheckedOutConnection;
  #ended = false;

  constructor(connection: CheckedOutConnection) {
    this.#connection = connection;
  }

  end(): void {
    this.#ended = true;
  }

  async query<Row extends object>(statement: Parameters<Sql["query"]>[0]): Promise<Row[]> {
    if (this.#ended) {
      throw new TransactionError("transaction_ended", "the transaction has ended already: is an await missing?");
    }
    return this.#connection.query<Row>(statement);
  }
}
