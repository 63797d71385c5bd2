import { openDatabase } from "../../src/postgres/pool.ts";
import type { Database } from "../../src/postgres/sql.ts";

/** A pool, by default of one connection, for what a benchmark asks beside the product. */
export function openBenchPool(connectionString: string, max = 1): Database {
  return openDatabase({
    connectionString,
    max,
    applicationName: "tasker bench",
    idleInTransactionTimeoutMs: 60_000,
    connectTimeoutMs: 10_000,
    onError: () => {},
  });
}
