/**
 * Warm answers a second through the real server, beside a bare Fastify route that sends the same bytes: same run, rounds in
 * turn, servers and load in processes of their own. `npm run bench:http -- [--rounds N] [--seconds S] [--connections C]`
 */
import autocannon from "autocannon";
import { join } from "node:path";

import { startServerProcess } from "../support/child.ts";
import { withBenchDatabase } from "../support/database.ts";
import { readFlags } from "../support/flags.ts";
import { describeMachine } from "../support/machine.ts";
import { runBenchmark } from "../support/run.ts";
import { median } from "../support/statistics.ts";
import { table } from "../support/table.ts";

const path = "/v1/analytics/bottlenecks?hours=1&min_executions=1&limit=20";

await runBenchmark(async (args) => {
  const { values } = readFlags(args, {
    rounds: { min: 1, max: 100, default: 5 },
    seconds: { min: 1, max: 600, default: 4 },
    connections: { min: 1, max: 1000, default: 16 },
  });
  return withBenchDatabase(async ({ url }) => {
    const tasker = await startServerProcess(join(import.meta.dirname, "tasker-server.ts"), [url]);
    const first = await fetch(tasker.address + path);
    const bytes = (await first.arrayBuffer()).byteLength;
    const bare = await startServerProcess(join(import.meta.dirname, "bare-server.ts"), [tasker.address + path]);
    console.log(`${describeMachine()}, ${bytes} bytes an answer, ${values.connections} connections\n`);
    try {
      const rates = await measure({ tasker: tasker.address, bare: bare.address }, values);
      const ratios = rates.tasker.map((rate, round) => rate / (rates.bare[round] ?? Number.NaN));
      console.log(
        table(
          ["requests a second", ...ratios.map((_, round) => `round ${round + 1}`), "median"],
          [
            ["tasker, from its cache", ...rates.tasker.map(whole), whole(median(rates.tasker))],
            ["bare Fastify route", ...rates.bare.map(whole), whole(median(rates.bare))],
            ["ratio", ...ratios.map((ratio) => ratio.toFixed(2)), median(ratios).toFixed(2)],
          ],
        ),
      );
      return 0;
    } finally {
      await bare.stop();
      await tasker.stop();
    }
  });
});

type Server = "tasker" | "bare";

async function measure(
  addresses: Readonly<Record<Server, string>>,
  { rounds, seconds, connections }: { readonly rounds: number; readonly seconds: number; readonly connections: number },
): Promise<Record<Server, number[]>> {
  const rates: Record<Server, number[]> = { tasker: [], bare: [] };
  for (const server of ["tasker", "bare"] as const) await load(addresses[server], 1, connections);
  for (let round = 0; round < rounds; round++) {
    for (const server of ["tasker", "bare"] as const) {
      rates[server].push(await load(addresses[server], seconds, connections));
    }
  }
  return rates;
}

/** Requests a second that were answered with 200. @throws when any was not */
async function load(address: string, seconds: number, connections: number): Promise<number> {
  const result = await autocannon({ url: address + path, duration: seconds, connections });
  if (result.non2xx > 0 || result.errors > 0) {
    throw new Error(`${address}: ${result.non2xx} answers were not 2xx, ${result.errors} requests failed`);
  }
  return result.requests.total / result.duration;
}

function whole(rate: number): string {
  return Math.round(rate).toString();
}
