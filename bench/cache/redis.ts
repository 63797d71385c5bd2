import { startRedis } from "../../test/support/redis.ts";
import { median } from "../support/statistics.ts";
import { table } from "../support/table.ts";
import type { Rate } from "./protocol.ts";
import { rawGet, readerNames } from "./redis-readers.ts";
import type { Scope } from "./scope.ts";
import { inRounds, withStations } from "./stations.ts";

const inFlight = 50;
const aim = 0.9;

/** Reads of answers that are in redis, with nothing in front of it, against a bare client's GET of the same values. */
export async function printRedis(
  scope: Scope,
  { rounds, cpuMs }: { readonly rounds: number; readonly cpuMs: number },
): Promise<void> {
  const { url } = await startRedis(scope);
  // Ours first: it is what fills redis.
  const names = readerNames.toReversed();
  const figures = await withStations(names, url, (stations) =>
    inRounds(stations, rounds, (station) => station.rate({ do: "reads", inFlight, cpuMs })),
  );
  const of = (name: string): readonly Rate[] => figures[names.findIndex((one) => one === name)] ?? [];
  const rows = readerNames.map((name) => {
    const ratio = (figure: keyof Rate): number =>
      median(of(name).map((rate, round) => rate[figure] / (of(rawGet)[round]?.[figure] ?? Number.NaN)));
    const rate = (figure: keyof Rate): string => median(of(name).map((one) => one[figure])).toFixed(0);
    const cpu = ratio("perCpuSecond");
    const isOurs = !name.startsWith("ioredis");
    return [
      name,
      rate("perCpuSecond"),
      cpu.toFixed(2),
      rate("perSecond"),
      ratio("perSecond").toFixed(2),
      isOurs ? `${aim} ${cpu >= aim ? "met" : "missed"}` : "",
    ];
  });
  console.log(
    `\nhits in redis, ${inFlight} in flight on as many keys, no memory in front; medians of ${rounds} rounds\n`,
  );
  console.log(table(["", "per CPU second", "of get", "per second", "of get", "aim"], rows));
}
