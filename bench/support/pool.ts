import { openDatabase } from "../../src/postgres/pool.ts";
import type { Database } from "../../src/postgres/sql.ts";

/** A pool of one connection, for what a benchmark asks beside the product. */
export function openBenchPool(connectionString: string): Database {
  return openDatabase({
    connectionString,
    max: 1,
    applicationName: "tasker bench",
    idleInTransactionTimeoutMs: 60_000,
    connectTimeoutMs: 10_000,
    onError: () => {},
  });
}
