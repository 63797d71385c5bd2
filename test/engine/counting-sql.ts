import type { Sql, Statement } from "../../src/postgres/sql.ts";
import { deferred } from "../support/deferred.ts";

/** The real thing, which counts what it has answered and fails while `isDown`. */
export class CountingSql implements Sql {
  /** What was asked, in order. */
  readonly asked: Statement[] = [];
  isDown = false;
  readonly #sql: Sql;
  readonly #waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  #answers = 0;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  async query<Row extends object>(statement: Statement): Promise<Row[]> {
    this.asked.push(statement);
    try {
      if (this.isDown) throw new Error("connection refused");
      return await this.#sql.query<Row>(statement);
    } finally {
      this.#answers += 1;
      // After those that wait for the answer itself have had it.
      for (const { count, resolve } of this.#waiting) if (this.#answers >= count) setImmediate(resolve);
    }
  }

  /** Resolves when `count` answers, in all, were given and taken. */
  async answered(count: number): Promise<void> {
    const { promise, resolve } = deferred();
    if (this.#answers >= count) setImmediate(resolve);
    else this.#waiting.push({ count, resolve });
    await promise;
  }
}
