import type { Sql } from "../../src/postgres/sql.ts";
import type { HistoryParameters } from "../../src/seed-history/parameters.ts";
import { seedHistory, type SeededHistory, type SeedHistoryOptions } from "../../src/seed-history/seed-history.ts";
import type { TestDatabase } from "../support/database.ts";

/** Small, with every kind of trouble. */
export const smallHistory: HistoryParameters = { tasks: 3000, days: 12, identities: 60, seed: 3 };

/** Seeds a test's database. */
export function seed(
  { db, url }: TestDatabase,
  parameters: Partial<HistoryParameters> = {},
  options: Partial<SeedHistoryOptions> = {},
): Promise<SeededHistory> {
  return seedHistory({
    database: db,
    connectionString: url,
    connectTimeoutMs: 30_000,
    factsRetentionDays: 60,
    ...options,
    parameters: { ...smallHistory, ...parameters },
  });
}

const contents = {
  rollups: "select * from tasker.rollups order by grain, bucket_start, identity_id",
  histograms: "select * from tasker.rollup_histograms order by grain, bucket_start, identity_id",
  overall: "select * from tasker.overall_histograms order by grain, bucket_start, is_task",
  counts: "select * from tasker.state_counts order by identity_id, subject, state",
};

/** Everything that folding makes. */
export async function folded(sql: Sql): Promise<Record<keyof typeof contents, object[]>> {
  const [rollups, histograms, overall, counts] = await Promise.all(
    [contents.rollups, contents.histograms, contents.overall, contents.counts].map((text) => sql.query({ text })),
  );
  return { rollups: rollups ?? [], histograms: histograms ?? [], overall: overall ?? [], counts: counts ?? [] };
}
