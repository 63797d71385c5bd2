import type { Database } from "../../src/postgres/sql.ts";

/** What a test may do to a database. */
export interface Faults {
  /** While set, everything that is asked fails with it. */
  error: Error | undefined;
  /** Awaited before anything is asked. */
  hold: () => Promise<void>;
  /** How often something was asked. */
  asked: number;
}

/** The real database, until its faults say otherwise. */
export function faultyDatabase(db: Database): { readonly database: Database; readonly faults: Faults } {
  const faults: Faults = { error: undefined, hold: () => Promise.resolve(), asked: 0 };
  const through = async <T>(ask: () => Promise<T>): Promise<T> => {
    faults.asked += 1;
    await faults.hold();
    if (faults.error !== undefined) throw faults.error;
    return ask();
  };
  const database: Database = {
    query: (statement) => through(() => db.query(statement)),
    transaction: (work, options) => through(() => db.transaction(work, options)),
    usage: () => db.usage(),
    close: () => db.close(),
  };
  return { database, faults };
}

/** As `pg` reports that nobody listens. The address in it must reach no caller. */
export function connectionRefused(): Error {
  return Object.assign(new Error("connect ECONNREFUSED 10.1.2.3:5432"), { code: "ECONNREFUSED" });
}

/** As Postgres reports one of its errors. */
export function serverError(sqlState: string): Error {
  return Object.assign(new Error(`SQLSTATE ${sqlState} with a secret`), { code: sqlState, severity: "ERROR" });
}
