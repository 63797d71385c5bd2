import { migrate } from "../../src/postgres/migrate.ts";
import { openDatabase } from "../../src/postgres/pool.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { seedHistory } from "../../src/seed-history/seed-history.ts";
import { openBenchPool } from "../support/pool.ts";

/** A database with a history of thirty days. */
export interface Dataset {
  readonly url: string;
  /** One connection, for what is asked beside the product. */
  readonly sql: Database;
  /** How many lives of steps ended. */
  readonly steps: number;
  readonly identities: number;
  readonly seedSeconds: number;
}

export interface DatasetOptions {
  /** The server's; the history gets a database of its own. */
  readonly url: string;
  readonly steps: number;
  readonly identities: number;
  readonly seed: number;
}

const days = 30;
/** All of the days keep their facts, so that the plain way can answer as well. */
const factsRetentionDays = days + 1;
const stepsPerTask = 5.2;
const name = "tasker_bench_analytics";

/** Makes a database, seeds it, and drops it after `work`. */
export async function withDataset<Result>(
  { url, steps, identities, seed }: DatasetOptions,
  work: (dataset: Dataset) => Promise<Result>,
): Promise<Result> {
  const server = openBenchPool(url);
  const own = new URL(url);
  own.pathname = `/${name}`;
  const drop = `drop database if exists ${name} with (force)`;
  try {
    await server.query({ text: drop });
    await server.query({ text: `create database ${name}` });
    const sql = openBenchPool(own.href);
    const seeding = openSeedingPool(own.href);
    try {
      await migrate(seeding);
      await sql.query({ text: "create extension pg_buffercache" });
      const tasks = Math.round(steps / stepsPerTask);
      const startedMs = systemClock.monotonicMs();
      // Without the VACUUM after it.
      let seedSeconds = 0;
      const seeded = await seedHistory({
        database: seeding,
        connectionString: own.href,
        connectTimeoutMs: 10_000,
        parameters: { tasks, days, identities, seed },
        factsRetentionDays,
        onProgress: () => {
          seedSeconds = (systemClock.monotonicMs() - startedMs) / 1000;
        },
      });
      await seeding.query({ text: "checkpoint" });
      return await work({ url: own.href, sql, steps: seeded.steps, identities, seedSeconds });
    } finally {
      await Promise.all([sql.close(), seeding.close()]);
    }
  } finally {
    await server.query({ text: drop });
    await server.close();
  }
}

/** Migrating holds a lock on one connection and works on another. */
function openSeedingPool(connectionString: string): Database {
  return openDatabase({
    connectionString,
    max: 2,
    applicationName: "tasker bench",
    idleInTransactionTimeoutMs: 0,
    connectTimeoutMs: 10_000,
    onError: () => {},
  });
}
