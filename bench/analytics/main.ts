/** The analytics against the plain way, by size of the history: `npm run bench:analytics`; docs/benchmarks.md. */
import { withBenchDatabase } from "../support/database.ts";
import { readFlags } from "../support/flags.ts";
import { describeSetting } from "../support/machine.ts";
import { openBenchPool } from "../support/pool.ts";
import { runBenchmark } from "../support/run.ts";
import { table } from "../support/table.ts";
import { costText, ratio } from "./cost.ts";
import { type Dataset, withDataset } from "./dataset.ts";
import { measureRepetition, measureWindows, type WindowFigures } from "./measure.ts";
import { tableSizes } from "./sizes.ts";

/** About how many steps a history has; the first is what the others are compared with. */
const sizes = [100_000, 1_000_000, 10_000_000, 100_000_000];
const identityCounts = [240, 5000];

await runBenchmark((args) => {
  const { values } = readFlags(args, {
    "max-steps": { min: 100_000, max: 100_000_000, default: 10_000_000 },
    rounds: { min: 1, max: 100, default: 7 },
    identities: { min: 22, max: 10_000 },
    seed: { min: 0, max: 0xffff_ffff, default: 1 },
  });
  return withBenchDatabase(async ({ url }) => {
    const server = openBenchPool(url);
    try {
      console.log(`${await describeSetting(server)}; median of ${values.rounds} calls`);
      console.log(
        "times in ms: as the caller waits, and in brackets the processor's time of the server, of which the ratios are",
      );
      console.log("dropped: nothing is in shared_buffers; the operating system may still hold it\n");
    } finally {
      await server.close();
    }
    for (const identities of values.identities === undefined ? identityCounts : [values.identities]) {
      let smallest: readonly WindowFigures[] | undefined;
      for (const steps of sizes.filter((size) => size <= values["max-steps"])) {
        const figures = await withDataset({ url, steps, identities, seed: values.seed }, (dataset) =>
          report(dataset, values.rounds, smallest),
        );
        smallest ??= figures;
      }
    }
    return 0;
  });
});

async function report(
  dataset: Dataset,
  rounds: number,
  smallest: readonly WindowFigures[] | undefined,
): Promise<readonly WindowFigures[]> {
  const million = dataset.steps / 1e6;
  const rate = Math.round(dataset.steps / dataset.seedSeconds);
  console.log(
    `${million.toFixed(2)} million steps of ${dataset.identities} identities in 30 days, ` +
      `seeded in ${dataset.seedSeconds.toFixed(1)} s (${rate.toLocaleString("en-US")} steps/s, rollups included)\n`,
  );
  const windows = await measureWindows(dataset, rounds);
  const header = [
    "window",
    "performance",
    "dropped",
    "bottlenecks",
    "dropped",
    "by p95",
    "plain way",
    "plain / ours",
    "of 0.1 million",
  ];
  const rows = windows.map((figures, index) => {
    const { hours, performance, bottlenecks, byPercentile, plain } = figures;
    const first = smallest?.[index]?.bottlenecks.warm;
    return [
      hours < 48 ? `${hours} h` : `${hours / 24} d`,
      costText(performance.warm),
      costText(performance.dropped),
      costText(bottlenecks.warm),
      costText(bottlenecks.dropped),
      costText(byPercentile),
      costText(plain),
      ratio(plain, bottlenecks.warm).toFixed(1),
      first === undefined ? "1.00" : ratio(bottlenecks.warm, first).toFixed(2),
    ];
  });
  console.log(table(header, rows));
  const { firstFive, later } = await measureRepetition(dataset);
  console.log(
    `\n20 calls on one connection, the last 24 h: the first five ${costText(firstFive)}, the sixth and later ` +
      `${costText(later)}: ${ratio(later, firstFive).toFixed(2)} of the first\n`,
  );
  const sizeRows = (await tableSizes(dataset.sql)).map(({ name, bytes }) => [name, (bytes / 1e6 / million).toFixed(1)]);
  console.log(`${table(["table, with its indexes", "MB per million steps"], sizeRows)}\n`);
  return windows;
}
