import type { Config } from "../config/schema.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../postgres/embedded/start.ts";
import { openDatabase } from "../postgres/pool.ts";
import type { Database } from "../postgres/sql.ts";
import { systemClock as clock } from "../runtime/clock.ts";
import type { Service } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logging.ts";
import { onStop } from "./services.ts";

export interface StorageOptions {
  readonly config: Config;
  readonly logger: Logger;
}

/** Starts the embedded Postgres when no database is configured. */
export async function openEmbedded(
  { config, logger }: StorageOptions,
  started: Service[],
): Promise<EmbeddedPostgres | undefined> {
  if (config.database.url !== "") return undefined;
  const embedded = await startEmbeddedPostgres({
    dataDir: config.embedded.dataDir,
    clock,
    onExit: (reason) => logger.error({ reason }, "the embedded Postgres ended"),
  });
  started.push(onStop("embedded postgres", () => embedded.stop()));
  return embedded;
}

/**
 * Longer than the time to live of answers: these connections are needed once for each, and the plans that a session makes first
 * take longer than an answer.
 */
const analyticsIdleConnectionMs = 15 * 60_000;

export interface PoolOptions {
  readonly connectionString: string;
  readonly role: "engine" | "analytics" | "analytics replica";
}

/** Opens the pool of one role; no two take each other's connections. */
export function openPool(
  { config, logger }: StorageOptions,
  started: Service[],
  { connectionString, role }: PoolOptions,
): Database {
  const { database } = config;
  const pool = openDatabase({
    connectionString,
    applicationName: `tasker ${role}`,
    idleInTransactionTimeoutMs: database.idleInTransactionTimeoutMs,
    connectTimeoutMs: database.connectTimeoutMs,
    transactionPooling: database.transactionPooling,
    preparedStatements: database.preparedStatements,
    // A lost idle connection is replaced when one is needed.
    onError: (error) => logger.debug({ err: error, pool: role }, "an idle connection was lost"),
    ...(role === "engine"
      ? { max: database.maxConnections }
      : {
          max: database.analyticsMaxConnections,
          statementTimeoutMs: database.analyticsStatementTimeoutMs,
          idleConnectionMs: analyticsIdleConnectionMs,
          // Its callers, requests and the warm start, have left before it is closed.
          cutsAtClose: true,
        }),
  });
  started.push(onStop(`${role} pool`, () => pool.close()));
  return pool;
}
