import { median } from "../support/statistics.ts";
import { table } from "../support/table.ts";
import { asyncCacheDedupe, bentocache, hitContenders, keysMax, tasker } from "./contenders.ts";
import type { Rate } from "./protocol.ts";
import { inRounds, type Station } from "./stations.ts";

/** At least so many times the rate of these. */
const aims: ReadonlyMap<string, number> = new Map([
  [asyncCacheDedupe.name, 4],
  [bentocache.name, 30],
]);

/** Hits in memory, one after the other. */
export async function printHits(
  stations: readonly Station[],
  { rounds, cpuMs }: { readonly rounds: number; readonly cpuMs: number },
): Promise<void> {
  for (const keys of [1, keysMax]) {
    const figures = await inRounds(stations, rounds, (station) => station.rate({ do: "hits", keys, cpuMs }));
    console.log(
      `\nhits in memory, ${keys === 1 ? "one hot key" : `${keys} keys in turn`}; medians of ${rounds} rounds\n`,
    );
    console.log(table(["", "hits per CPU second", "tasker is", "aim", "a hit brings"], rowsOf(figures)));
  }
}

function rowsOf(figures: readonly (readonly Rate[])[]): string[][] {
  const own = figures[hitContenders.indexOf(tasker)] ?? [];
  return hitContenders.map(({ name, brings }, index) => {
    const theirs = figures[index] ?? [];
    // Of each round, in which both ran within seconds: the machine is not equally quiet all the time.
    const ratio = median(
      own.map(({ perCpuSecond }, round) => perCpuSecond / (theirs[round]?.perCpuSecond ?? Number.NaN)),
    );
    const rate = median(theirs.map(({ perCpuSecond }) => perCpuSecond));
    return [name, rate.toFixed(0), name === tasker.name ? "" : `${ratio.toFixed(2)} x`, verdict(name, ratio), brings];
  });
}

function verdict(name: string, ratio: number): string {
  const aim = aims.get(name);
  if (aim === undefined) return "";
  return `${aim} x ${ratio >= aim ? "met" : "missed"}`;
}
