import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

import pg from "pg";
import { from as copyFrom } from "pg-copy-streams";

import { binaryCopyHeader, binaryCopyTrailer } from "./binary-rows.ts";
import { connectionOf } from "./session.ts";
import type { Sql } from "./sql.ts";
import { runStatement } from "./statement.ts";

/** A table and the columns of its rows, in order. */
export interface CopyTarget {
  readonly table: string;
  readonly columns: readonly string[];
}

/** Takes rows in bulk, in the one transaction of its connection. */
export interface BulkLoader extends Sql {
  /** Writes rows, encoded by {@link BinaryRows}, and resolves when the server has them all. */
  copy(target: CopyTarget, chunks: Iterable<Buffer>): Promise<void>;
}

export interface BulkLoadOptions {
  readonly connectionString: string;
  readonly applicationName: string;
  readonly connectTimeoutMs: number;
}

/**
 * Runs `work` in one transaction on a connection of its own, in which rows can be written with COPY. Everything is committed
 * when it resolves and nothing when it rejects, or when the process ends before.
 */
export async function bulkLoad<T>(options: BulkLoadOptions, work: (loader: BulkLoader) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    ...connectionOf(options.connectionString),
    application_name: options.applicationName,
    connectionTimeoutMillis: options.connectTimeoutMs,
    // A server that limits these means the statements of the engine.
    idle_in_transaction_session_timeout: 0,
    statement_timeout: 0,
    keepAlive: true,
  });
  // The statement under way fails too when the connection is lost; without a listener the event would end the process.
  client.on("error", () => {});
  await client.connect();
  try {
    await client.query("begin");
    const result = await work({
      query: (statement) => runStatement(client, statement),
      copy: (target, chunks) => copy(client, target, chunks),
    });
    await client.query("commit");
    return result;
  } finally {
    // Ends an open transaction too.
    await client.end();
  }
}

async function copy(client: pg.Client, { table, columns }: CopyTarget, chunks: Iterable<Buffer>): Promise<void> {
  const stream = client.query(copyFrom(`copy ${table} (${columns.join(", ")}) from stdin (format binary)`));
  // Not in object mode: the high-water mark counts bytes, so that rows are made while the server takes the ones before.
  await pipeline(Readable.from(framed(chunks), { objectMode: false }), stream);
}

function* framed(chunks: Iterable<Buffer>): Generator<Buffer> {
  yield binaryCopyHeader;
  yield* chunks;
  yield binaryCopyTrailer;
}
