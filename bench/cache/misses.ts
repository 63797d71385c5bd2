import { table } from "../support/table.ts";
import { libraries } from "./contenders.ts";
import type { Wave } from "./protocol.ts";
import type { Station } from "./stations.ts";

/** A thousand callers of a cold key, with a source that works and with one that fails; and as many again at once after that. */
export async function printMisses(stations: readonly Station[], callers: number): Promise<void> {
  for (const fails of [false, true]) {
    const rows: string[][] = [];
    for (const { name } of libraries) {
      const station = stations.find((one) => one.name === name);
      if (station === undefined) throw new Error(`nobody measures ${name}`);
      const { first, second } = await station.waves({ do: "misses", callers, fails });
      rows.push([name, ...cells(first), String(second.loads), resultsOf(second)]);
    }
    const source = `a source that ${fails ? "fails" : "works"} after 2 ms`;
    console.log(`\n${callers} callers of a cold key at once, ${source}; then as many again\n`);
    console.log(table(["", "loads", "callers got", "ms", "loads again", "callers got"], rows));
  }
  console.log(
    "\naim: 1 load for all, and none for those who come at once after that; a failure is an error for everyone",
  );
}

function cells(wave: Wave): string[] {
  return [String(wave.loads), resultsOf(wave), wave.ms.toFixed(0)];
}

function resultsOf({ answered, failed, empty }: Wave): string {
  const parts = [
    [answered, answered === 1 ? "answer" : "answers"],
    [failed, failed === 1 ? "error" : "errors"],
    [empty, "undefined"],
  ] as const;
  return parts.flatMap(([count, what]) => (count === 0 ? [] : [`${count} ${what}`])).join(", ");
}
