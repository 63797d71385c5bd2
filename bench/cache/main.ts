/** Our cache beside others: `node --import tsx bench/cache/main.ts`; docs/benchmarks.md. */
import { readFlags } from "../support/flags.ts";
import { describeMachine } from "../support/machine.ts";
import { runBenchmark } from "../support/run.ts";
import { benchText } from "./answer.ts";
import { hitContenders } from "./contenders.ts";
import { printHits } from "./hits.ts";
import { printHotKey } from "./hot-key.ts";
import { printMisses } from "./misses.ts";
import { printRedis } from "./redis.ts";
import { Scope } from "./scope.ts";
import { withStations } from "./stations.ts";

await runBenchmark(async (args) => {
  const { values } = readFlags(args, {
    rounds: { min: 1, max: 100, default: 5 },
    "cpu-ms": { min: 1, max: 60_000, default: 200 },
    callers: { min: 2, max: 10_000, default: 1000 },
    processes: { min: 2, max: 64, default: 8 },
    ttls: { min: 0, max: 100, default: 10 },
    "ttl-ms": { min: 100, max: 60_000, default: 1500 },
  });
  const { rounds, "cpu-ms": cpuMs, callers, ttls, "ttl-ms": ttlMs, processes } = values;
  console.log(`${describeMachine()}, an answer of ${Buffer.byteLength(benchText(0))} bytes of JSON`);
  const scope = new Scope();
  try {
    const names = hitContenders.map(({ name }) => name);
    await withStations(names, undefined, async (stations) => {
      await printHits(stations, { rounds, cpuMs });
      await printMisses(stations, callers);
    });
    await printRedis(scope, { rounds, cpuMs });
    if (ttls > 0) await printHotKey(scope, { ttls, ttlMs, processes });
  } finally {
    await scope.end();
  }
  console.log("\nthrough HTTP: npm run bench:http");
  return 0;
});
