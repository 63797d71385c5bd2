/** What the analytics cost the engine: `node --import tsx bench/cost/main.ts`; docs/benchmarks.md. */
import { withBenchDatabase } from "../support/database.ts";
import { readFlags } from "../support/flags.ts";
import { describeSetting } from "../support/machine.ts";
import { openBenchPool } from "../support/pool.ts";
import { runBenchmark } from "../support/run.ts";
import { measureCost } from "./report.ts";

await runBenchmark((args) => {
  const { values } = readFlags(args, {
    rounds: { min: 1, max: 1000, default: 9 },
    clients: { min: 2, max: 100, default: 8 },
    singles: { min: 10, max: 1_000_000, default: 1000 },
    batched: { min: 50, max: 1_000_000, default: 5000 },
    claims: { min: 10, max: 100_000, default: 300 },
  });
  return withBenchDatabase(async ({ url }) => {
    const pool = openBenchPool(url);
    try {
      console.log(`${await describeSetting(pool)}, ${values.clients} clients, tasks of a single step\n`);
    } finally {
      await pool.close();
    }
    console.log(await measureCost(url, values));
    return 0;
  });
});
