/** What a warm analytics answer costs: `node --import tsx bench/http/main.ts`; docs/benchmarks.md. */
import { join } from "node:path";

import type { App } from "../../src/app.ts";
import { defineTask } from "../../src/workflow/define-task.ts";
import { startBenchApp } from "../support/app.ts";
import { type Child, startChild } from "../support/child.ts";
import { withBenchDatabase } from "../support/database.ts";
import { readFlags } from "../support/flags.ts";
import { describeMachine } from "../support/machine.ts";
import { runBenchmark } from "../support/run.ts";
import { median } from "../support/statistics.ts";
import { table } from "../support/table.ts";
import {
  isListening,
  isMeasured,
  isUsed,
  type Listening,
  type Measured,
  type Serve,
  type ServerKind,
  serverKinds,
} from "./protocol.ts";

interface Options {
  readonly rounds: number;
  readonly requests: number;
  readonly connections: number;
}

/** What one server did under load. */
interface Run extends Measured {
  /** Requests for each second of the server's CPU time. */
  readonly perCpuSecond: number;
}

type Round = Readonly<Record<ServerKind, Run>>;

const path = "/v1/analytics/performance";
/** Until the code is compiled, however busy the machine is. */
const warmUpRequests = 15_000;
/** What each server adds by itself, or what is about the connection. */
const ownHeaders = ["connection", "content-length", "date", "keep-alive", "x-request-id"];

await runBenchmark((args) => {
  const { values } = readFlags(args, {
    rounds: { min: 1, max: 100, default: 7 },
    requests: { min: 100, max: 10_000_000, default: 6000 },
    connections: { min: 1, max: 1000, default: 50 },
  });
  return withBenchDatabase(async ({ url }) => {
    const leader = await runSomeTasks(url);
    try {
      return print(await compare(url, values));
    } finally {
      await leader.stop();
    }
  });
});

/**
 * So that the answer has something to say. Resolves to the process' own application, which leads the chores (fold, rescue)
 * as long as it runs: they are no part of what an answer costs.
 */
async function runSomeTasks(url: string): Promise<App> {
  const task = defineTask({ namespace: "bench", name: "answered_for", version: "1" })
    .step("first", () => null)
    .step("second", { after: ["first"] }, () => null);
  const app = await startBenchApp({ url, definitions: [task] });
  try {
    const tasks = await app.submitter.submit(
      task.name,
      Array.from({ length: 100 }, () => ({ input: null })),
    );
    await Promise.all(tasks.map(({ id }) => app.outcomes.wait(id)));
    return app;
  } catch (error) {
    await app.stop();
    throw error;
  }
}

async function compare(databaseUrl: string, options: Options): Promise<Round[]> {
  const children = new Map<ServerKind, Child<Listening>>();
  const start = async (serve: Serve): Promise<string> => {
    const child = await startChild(fileOf("serve.ts"), serve, isListening);
    children.set(serve.kind, child);
    return `${child.report.origin}${path}`;
  };
  try {
    const url = await start({ kind: "tasker", databaseUrl, path, headers: "{}", body: "" });
    const { body, headers } = await warmAnswer(url);
    console.log(`${describeMachine()}, ${options.connections} connections, ${Buffer.byteLength(body)} bytes of JSON\n`);
    for (const kind of serverKinds) {
      if (kind === "tasker") continue;
      const other = await fetch(await start({ kind, databaseUrl, path, headers: JSON.stringify(headers), body }));
      if ((await other.text()) !== body) throw new Error(`${kind} answers other bytes`);
    }
    return await alternate(children, options);
  } finally {
    await Promise.all([...children.values()].map((child) => child.stop()));
  }
}

/** Measures all in each round, and begins with another one each time. */
async function alternate(children: ReadonlyMap<ServerKind, Child<Listening>>, options: Options): Promise<Round[]> {
  const runOf = (kind: ServerKind, requests: number): Promise<Run> => {
    const child = children.get(kind);
    if (child === undefined) throw new Error(`${kind} does not run`);
    return run(child, { ...options, requests });
  };
  for (const kind of serverKinds) await runOf(kind, warmUpRequests);
  const rounds: Round[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const first = round % serverKinds.length;
    const results = new Map<ServerKind, Run>();
    for (const kind of [...serverKinds.slice(first), ...serverKinds.slice(0, first)]) {
      results.set(kind, await runOf(kind, options.requests));
    }
    rounds.push(forEachServer((kind) => given(results.get(kind))));
  }
  return rounds;
}

async function run(server: Child<Listening>, { connections, requests }: Options): Promise<Run> {
  const before = await server.ask(isUsed);
  const load = { url: `${server.report.origin}${path}`, connections, requests, acceptEncoding: "identity" };
  const child = await startChild(fileOf("load.ts"), load, isMeasured);
  const after = await server.ask(isUsed);
  await child.stop();
  return { ...child.report, perCpuSecond: (1000 * child.report.answered) / (after.cpuMs - before.cpuMs) };
}

/** Asks until the answer comes from the cache. */
async function warmAnswer(
  url: string,
): Promise<{ readonly body: string; readonly headers: Readonly<Record<string, string>> }> {
  const ask = (): Promise<Response> => fetch(url, { headers: { "accept-encoding": "identity" } });
  await (await ask()).arrayBuffer();
  const response = await ask();
  const status = response.headers.get("cache-status") ?? "";
  if (!status.startsWith("tasker; hit")) throw new Error(`the answer is not warm: cache-status is "${status}"`);
  const headers = Object.fromEntries([...response.headers].filter(([name]) => !ownHeaders.includes(name)));
  return { body: await response.text(), headers };
}

function print(rounds: readonly Round[]): number {
  const ratio = (kind: ServerKind, to: ServerKind): number =>
    median(rounds.map((round) => round[kind].perCpuSecond / round[to].perCpuSecond));
  const header = ["server", "requests per CPU second", "of node", "of fastify", "of admission", "p50 / p99 ms"];
  const rows = serverKinds.map((kind) => {
    const at = (figure: keyof Run): number => median(rounds.map((round) => round[kind][figure]));
    const ratios = (["node", "fastify", "admission"] as const).map((to) => ratio(kind, to).toFixed(2));
    return [kind, at("perCpuSecond").toFixed(0), ...ratios, `${at("p50Ms")} / ${at("p99Ms")}`];
  });
  console.log(table(header, rows));
  console.log(`\nmedians of ${rounds.length} rounds, ratios within a round`);
  console.log(
    `tasker of admission, by round: ${rounds
      .map(({ tasker, admission }) => (tasker.perCpuSecond / admission.perCpuSecond).toFixed(2))
      .join(" ")}`,
  );
  const failures = rounds.flatMap((round) => Object.values(round)).reduce((total, one) => total + one.failures, 0);
  if (failures > 0) console.log(`${failures} requests failed`);
  return failures === 0 ? 0 : 1;
}

function forEachServer(of: (kind: ServerKind) => Run): Round {
  return {
    node: of("node"),
    fastify: of("fastify"),
    admission: of("admission"),
    stub: of("stub"),
    tasker: of("tasker"),
  };
}

function given(result: Run | undefined): Run {
  if (result === undefined) throw new Error("a server was not measured");
  return result;
}

function fileOf(name: string): string {
  return join(import.meta.dirname, name);
}
