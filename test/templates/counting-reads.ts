import type { Database, Sql, Statement } from "../../src/postgres/sql.ts";

/** The database, and how often it was asked for the current revision of a template. */
export class CountingReads implements Database {
  reads = 0;
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  query<Row extends object>(statement: Statement): Promise<Row[]> {
    return this.#counted(this.#db).query<Row>(statement);
  }

  transaction: Database["transaction"] = (work, options) =>
    this.#db.transaction((sql) => work(this.#counted(sql)), options);

  usage(): ReturnType<Database["usage"]> {
    return this.#db.usage();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #counted(sql: Sql): Sql {
    return {
      query: <Row extends object>(statement: Statement): Promise<Row[]> => {
        if (statement.name === "current_revision") this.reads += 1;
        return sql.query<Row>(statement);
      },
    };
  }
}
