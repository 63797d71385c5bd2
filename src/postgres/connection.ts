import pg from "pg";

import { DecodingError } from "./decoding-error.ts";
import { hintAtPooler } from "./pooler.ts";
import { runStatement } from "./statement.ts";
import type { Sql, Statement } from "./sql.ts";
import { sqlState, sqlStateOf } from "./sqlstate.ts";

/** A pool's connection while it is out: knows whether it may go back, and why it was lost. */
export class CheckedOutConnection implements Sql {
  readonly #client: pg.PoolClient;
  readonly #prepares: boolean;
  #lost: Error | undefined;
  #discard = false;

  /** @param prepares whether a statement's name prepares it */
  constructor(client: pg.PoolClient, prepares: boolean) {
    this.#client = client;
    this.#prepares = prepares;
    // The pool listens for errors of idle connections only. Without a listener here the 'error' event of a connection that
    // is lost while it is out would end the process.
    client.on("error", this.#onError);
  }

  async query<Row extends object>(statement: Statement): Promise<Row[]> {
    try {
      return await runStatement<Row>(this.#client, this.#prepares ? statement : unnamed(statement));
    } catch (reason) {
      const error = hintAtPooler(reason);
      if (!leavesConnectionUsable(error)) this.#discard = true;
      throw this.#reasonOf(error);
    }
  }

  /**
   * Commits and says whether anything was committed: when a statement of the transaction had failed, Postgres answers with a
   * rollback instead of an error.
   */
  async commit(): Promise<boolean> {
    try {
      const { command } = await this.#client.query({ text: "commit" });
      return command === "COMMIT";
    } catch (error) {
      this.#discard = true;
      throw this.#reasonOf(error);
    }
  }

  /** True when nothing more should be asked of it: it was lost, or its state is not known. */
  get isUnusable(): boolean {
    return this.#discard || this.#lost !== undefined;
  }

  /** Ends the connection at its release, because its state is not known. */
  discard(): void {
    this.#discard = true;
  }

  /** Ends the connection at once, whatever it is doing: the statement under way fails here, and the server gives up on it in its time. */
  cut(): void {
    this.#discard = true;
    if (this.#client instanceof pg.Client) void this.#client.end();
  }

  /** Gives the connection back. One that was lost or is still inside of a transaction is closed instead. */
  release(): void {
    this.#client.off("error", this.#onError);
    this.#client.release(this.isUnusable || this.#client.getTransactionStatus() !== "I");
  }

  /** `pg` says only that the client is not queryable; what the server said when it ended the session is the reason. */
  #reasonOf(error: unknown): unknown {
    return sqlStateOf(error) === undefined && this.#lost !== undefined ? this.#lost : error;
  }

  readonly #onError = (error: Error): void => {
    this.#lost ??= error;
  };
}

function unnamed(statement: Statement): Statement {
  const { name: _, ...rest } = statement;
  return rest;
}

const sessionEnded: ReadonlySet<string> = new Set([
  sqlState.idle_in_transaction_session_timeout,
  sqlState.admin_shutdown,
  sqlState.crash_shutdown,
]);

/** After an ordinary error of a statement the session goes on; after all else the connection is not to be trusted. */
function leavesConnectionUsable(error: unknown): boolean {
  if (error instanceof DecodingError) return true;
  const state = sqlStateOf(error);
  return state !== undefined && !state.startsWith("08") && !sessionEnded.has(state);
}
