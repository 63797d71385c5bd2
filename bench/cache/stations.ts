import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

import type { Rate, Request, Waves } from "./protocol.ts";

/** A measuring process. It has its own heap and its own compiled code, and does nothing until it is asked. */
export class Station {
  readonly name: string;
  readonly #child: ChildProcess;

  private constructor(name: string, child: ChildProcess) {
    this.name = name;
    this.#child = child;
  }

  /** Starts it and waits until it is ready: connected, with a full cache. */
  static async start(name: string, redisUrl = ""): Promise<Station> {
    const child = fork(join(import.meta.dirname, "station.ts"), [name, redisUrl], {
      execArgv: ["--import", "tsx"],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    const station = new Station(name, child);
    await station.#next();
    return station;
  }

  async rate(request: Extract<Request, { do: "hits" | "reads" }>): Promise<Rate> {
    this.#child.send(request);
    // As the station's program answers these.
    return (await this.#next()) as Rate;
  }

  async waves(request: Extract<Request, { do: "misses" }>): Promise<Waves> {
    this.#child.send(request);
    return (await this.#next()) as Waves;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }

  /** @throws when it ends instead; what it wrote stands on standard error */
  async #next(): Promise<unknown> {
    const waited = new AbortController();
    const { signal } = waited;
    try {
      const ended = once(this.#child, "exit", { signal }).then(() =>
        Promise.reject(new Error(`the process that measures ${this.name} has ended`)),
      );
      const told = once(this.#child, "message", { signal }).then(([message]: unknown[]) => message);
      // Whichever comes second is given up, and nobody hears that.
      for (const one of [ended, told]) one.catch(() => undefined);
      return await Promise.race([told, ended]);
    } finally {
      waited.abort();
    }
  }
}

/** Starts one for each name, lets `use` measure with them, and ends them. */
export async function withStations<Result>(
  names: readonly string[],
  redisUrl: string | undefined,
  use: (stations: readonly Station[]) => Promise<Result>,
): Promise<Result> {
  const starts = await Promise.allSettled(names.map((name) => Station.start(name, redisUrl)));
  const stations = starts.flatMap((start) => (start.status === "fulfilled" ? [start.value] : []));
  try {
    for (const start of starts) if (start.status === "rejected") throw start.reason;
    return await use(stations);
  } finally {
    await Promise.all(stations.map((station) => station.stop()));
  }
}

/** Measures each of them in each round, in turn, and begins each round with another one. Resolves to each one's figures. */
export async function inRounds(
  stations: readonly Station[],
  rounds: number,
  measure: (station: Station) => Promise<Rate>,
): Promise<Rate[][]> {
  // What runs first is compiled then.
  for (const station of stations) await measure(station);
  const figures: Rate[][] = stations.map(() => []);
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < stations.length; turn += 1) {
      const index = (round + turn) % stations.length;
      const station = stations[index];
      if (station !== undefined) figures[index]?.push(await measure(station));
    }
  }
  return figures;
}
