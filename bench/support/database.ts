import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { environment } from "../../src/config/environment.ts";
import { startEmbeddedPostgres } from "../../src/postgres/embedded/start.ts";
import { systemClock } from "../../src/runtime/clock.ts";

/** The Postgres that a benchmark runs on. */
export interface BenchDatabase {
  readonly url: string;
  stop(): Promise<void>;
}

/** The Postgres that DATABASE_URL names; without one an embedded server of its own, with the settings every user gets (fsync on). */
export async function openBenchDatabase(): Promise<BenchDatabase> {
  const given = environment()["DATABASE_URL"];
  if (given !== undefined && given !== "") return { url: given, stop: () => Promise.resolve() };
  const folder = temporaryFolder();
  const paths = [folder];
  const remove = (): void => {
    for (const path of paths) rmSync(path, { recursive: true, force: true });
  };
  try {
    const server = await startEmbeddedPostgres({ dataDir: join(folder, "postgres"), clock: systemClock });
    // Not always in the folder: where the server's user cannot get there, it lives elsewhere.
    paths.push(server.dataDir);
    return { url: server.connectionString, stop: () => server.stop().then(remove) };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Runs a benchmark on a database and stops that at the end, at an interrupt too. Resolves to the exit code. */
export async function withBenchDatabase(run: (database: BenchDatabase) => Promise<number>): Promise<number> {
  const database = await openBenchDatabase();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void database.stop().finally(() => process.exit(130)));
  }
  try {
    return await run(database);
  } finally {
    await database.stop();
  }
}

/** A new folder that the embedded server's user can get into. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tasker-bench-"));
  chmodSync(folder, 0o755);
  return folder;
}
