/** What a transaction that stays open costs readers and the fold: `node --import tsx bench/folding/main.ts`; docs/benchmarks.md. */
import { migrate } from "../../src/postgres/migrate.ts";
import { openDatabase } from "../../src/postgres/pool.ts";
import type { Database, Sql } from "../../src/postgres/sql.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { withBenchDatabase } from "../support/database.ts";
import { readFlags } from "../support/flags.ts";
import { describeSetting } from "../support/machine.ts";
import { runBenchmark } from "../support/run.ts";
import { median } from "../support/statistics.ts";
import { table } from "../support/table.ts";

const stepsPerTransaction = 100;
const identities = 200;

const registerIdentities = `insert into tasker.analytics_identities (namespace_name, task_name, version, step_name)
  select 'bench', 'task', '1.0.0', 's' || g from generate_series(1, ${identities}) g`;

await runBenchmark((args) => {
  const { values } = readFlags(args, {
    steps: { min: 1000, max: 100_000_000, default: 1_000_000 },
    reads: { min: 1, max: 1000, default: 9 },
    "fold-rows": { min: 1, max: 10_000_000, default: 50_000 },
  });
  return withBenchDatabase(async ({ url }) => {
    const db = openDatabase({
      connectionString: url,
      max: 3,
      applicationName: "tasker bench",
      idleInTransactionTimeoutMs: 0,
      connectTimeoutMs: 10_000,
      onError: () => {},
    });
    try {
      await migrate(db);
      console.log(`${await describeSetting(db)}\n`);
      console.log(await measure(db, values.steps, values.reads, values["fold-rows"]));
      return 0;
    } finally {
      await db.close();
    }
  });
});

/** Writes facts while a transaction with a fact of its own is open, folds them beside it, then lets it commit. */
async function measure(db: Database, steps: number, reads: number, foldRows: number): Promise<string> {
  const rows: [what: string, ms: number][] = [];
  const foldMs: number[] = [];
  await db.query({ text: registerIdentities });
  await db.transaction(async (open) => {
    await open.query({ text: insertFacts(1, "now()") });
    await db.query({ text: writeFacts(Math.ceil(steps / stepsPerTransaction)) });
    await db.query({ text: "vacuum analyze" });
    rows.push(["nothing folded, as if the open transaction stalled it", await readMs(db, Math.min(reads, 3))]);
    for (let more = true; more;) {
      const startedMs = systemClock.monotonicMs();
      const [piece] = await db.query<{ more: boolean }>({
        text: "select more from tasker.fold($1)",
        values: [foldRows],
      });
      foldMs.push(systemClock.monotonicMs() - startedMs);
      more = piece?.more === true;
    }
    rows.push(["folded beside the open transaction", await readMs(db, reads)]);
  });
  await db.query({ text: "select tasker.fold(1000000)" });
  await db.query({ text: "vacuum analyze" });
  const folded = await readMs(db, reads);
  rows.push(["folded, nothing open", folded]);
  const lines = rows.map(([what, ms]) => [what, ms.toFixed(1), (ms / folded).toFixed(1)]);
  const perRow = (median(foldMs) * 1000) / foldRows;
  return `${table([`${steps} steps of ${identities} kinds, 24 hours`, "median ms", "ratio"], lines)}

the fold, while the transaction is open: ${perRow.toFixed(1)} us a row in pieces of ${foldRows}`;
}

/** The time to read the figures of all identities. */
async function readMs(sql: Sql, times: number): Promise<number> {
  const durations: number[] = [];
  for (let i = 0; i < times; i++) {
    const startedMs = systemClock.monotonicMs();
    await sql.query({ text: "select * from tasker.window_figures(now() - interval '24 hours', now(), null)" });
    durations.push(systemClock.monotonicMs() - startedMs);
  }
  return median(durations);
}

function insertFacts(count: number, endedAt: string): string {
  return `insert into tasker.step_facts (ended_at, tick, dependency_wait_us, queue_wait_us, retry_us, run_us, task_id, identity_id,
      attempts, failed_attempts, outcome, reopened)
    select ${endedAt}, tasker.tick(), 10, 10, 0, 1000 * g, gen_random_uuid(), 1 + (random() * ${identities - 1})::integer, 1, 0,
      'complete', false
    from generate_series(1, ${count}) g`;
}

/** So many transactions, over the last 20 hours. */
function writeFacts(transactions: number): string {
  const endedAt = `clock_timestamp() - i * interval '20 hours' / ${transactions}`;
  return `do $$ begin
    for i in 1..${transactions} loop
      ${insertFacts(stepsPerTransaction, endedAt)};
      commit;
    end loop;
  end $$`;
}
