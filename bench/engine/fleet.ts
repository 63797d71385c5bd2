import { randomBytes } from "node:crypto";

import type { Database } from "../../src/postgres/sql.ts";
import { type Child, startChild } from "../support/child.ts";
import { openBenchPool } from "../support/pool.ts";
import { contenderNames, loadContender } from "./contenders/all.ts";
import type { Contender } from "./contenders/contract.ts";
import { type Answer, isAnswer, type Question, workerProgram } from "./protocol.ts";

/** A contender with its database and its processes, which do nothing until they are asked to work. */
export class Fleet {
  readonly contender: Contender;
  readonly url: string;
  /** Looks at the contender's database. */
  readonly database: Database;
  readonly #children: readonly Child<unknown>[];

  private constructor(contender: Contender, url: string, database: Database, children: readonly Child<unknown>[]) {
    this.contender = contender;
    this.url = url;
    this.database = database;
    this.#children = children;
  }

  /** @param processes how many can work at once */
  static async start(contender: Contender, url: string, processes: number, concurrency: number): Promise<Fleet> {
    await contender.setUp({ url });
    const starts = await Promise.allSettled(
      Array.from({ length: processes }, (_, index) =>
        startChild(workerProgram, { contender: contender.name, url, index, concurrency }, isReady),
      ),
    );
    const children = starts.flatMap((start) => (start.status === "fulfilled" ? [start.value] : []));
    const fleet = new Fleet(contender, url, openBenchPool(url), children);
    const failed = starts.find((start) => start.status === "rejected");
    if (failed === undefined) return fleet;
    await fleet.stop();
    throw failed.reason;
  }

  /** Asks the first so many processes, all at once. */
  ask(question: Question, processes: number): Promise<Answer[]> {
    return Promise.all(this.#children.slice(0, processes).map((child) => child.ask(isAnswer, question)));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.stop()));
    await this.database.close();
  }
}

function isReady(message: unknown): message is object {
  return typeof message === "object" && message !== null && "ready" in message;
}

/** Starts all contenders, each in a new database of the server, lets `use` measure, and removes what it made. */
export async function withFleets<Result>(
  serverUrl: string,
  options: { readonly processes: number; readonly concurrency: number },
  use: (fleets: readonly Fleet[]) => Promise<Result>,
): Promise<Result> {
  const admin = openBenchPool(serverUrl);
  const databases: string[] = [];
  const fleets: Fleet[] = [];
  try {
    for (const contenderName of contenderNames) {
      const contender = await loadContender(contenderName);
      const name = `bench_${contender.name.replaceAll("-", "_")}_${randomBytes(4).toString("hex")}`;
      await admin.query({ text: `create database ${name} template template0` });
      databases.push(name);
      const url = new URL(serverUrl);
      url.pathname = `/${name}`;
      fleets.push(await Fleet.start(contender, url.href, options.processes, options.concurrency));
    }
    return await use(fleets);
  } finally {
    for (const fleet of fleets) await fleet.stop();
    for (const name of databases) await admin.query({ text: `drop database ${name} with (force)` });
    await admin.close();
  }
}
