import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { environment } from "../../src/config/environment.ts";
import { startEmbeddedPostgres } from "../../src/postgres/embedded/start.ts";
import { systemClock } from "../../src/runtime/clock.ts";

/** The Postgres that a benchmark runs on. */
export interface BenchDatabase {
  readonly url: string;
  /** True when it was started for this run, is empty, and goes with it. */
  readonly own: boolean;
  stop(): Promise<void>;
}

/** The Postgres that DATABASE_URL names; without one an embedded server of its own, with the settings every user gets (fsync on). */
export async function openBenchDatabase(): Promise<BenchDatabase> {
  const given = environment()["DATABASE_URL"];
  if (given !== undefined && given !== "") return { url: given, own: false, stop: () => Promise.resolve() };
  const folder = temporaryFolder();
  const server = await startEmbeddedPostgres({ dataDir: join(folder, "postgres"), clock: systemClock });
  return {
    url: server.connectionString,
    own: true,
    async stop() {
      await server.stop();
      for (const path of [folder, server.dataDir]) rmSync(path, { recursive: true, force: true });
    },
  };
}

/** Runs a benchmark on a database and stops that at the end, at an interrupt too. Resolves to the exit code. */
export async function withBenchDatabase(run: (database: BenchDatabase) => Promise<number>): Promise<number> {
  const database = await openBenchDatabase();
  const interrupted = new Promise<number>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve(130));
  });
  try {
    return await Promise.race([run(database), interrupted]);
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
