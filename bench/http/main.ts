/** A warm analytics answer against a bare Fastify route: `node --import tsx bench/http/main.ts`; docs/benchmarks.md. */
import { join } from "node:path";

import { defineTask } from "../../src/workflow/define-task.ts";
import { startBenchApp } from "../support/app.ts";
import { startChild } from "../support/child.ts";
import { withBenchDatabase } from "../support/database.ts";
import { readFlags } from "../support/flags.ts";
import { describeMachine } from "../support/machine.ts";
import { startProgram } from "../support/program.ts";
import { runBenchmark } from "../support/run.ts";
import { median } from "../support/statistics.ts";
import { table } from "../support/table.ts";
import { isListening, isMeasured, type Load, type Measured } from "./protocol.ts";

interface Options {
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: number;
}

/** One round: both servers, one after the other. */
type Round = Readonly<Record<"tasker" | "bare", Measured>>;

const path = "/v1/analytics/performance";
const warmUpSeconds = 3;

await runBenchmark((args) => {
  const { values } = readFlags(args, {
    rounds: { min: 1, max: 100, default: 5 },
    seconds: { min: 1, max: 600, default: 5 },
    connections: { min: 1, max: 1000, default: 50 },
  });
  return withBenchDatabase(async ({ url }) => {
    await runSomeTasks(url);
    const rounds = await compare(url, values);
    return print(rounds);
  });
});

/** So that the answer has something to say. */
async function runSomeTasks(url: string): Promise<void> {
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
  } finally {
    await app.stop();
  }
}

async function compare(databaseUrl: string, options: Options): Promise<Round[]> {
  const tasker = await startProgram(["serve", "--port", "0", "--log-level", "warn"], { DATABASE_URL: databaseUrl });
  try {
    const url = `${tasker.origin}${path}`;
    const { body, contentType } = await warmAnswer(url);
    console.log(`${describeMachine()}, ${options.connections} connections, ${Buffer.byteLength(body)} bytes of JSON\n`);
    const bare = await startChild(fileOf("serve-bare.ts"), { path, contentType, body }, isListening);
    try {
      const same = await fetch(`${bare.report.origin}${path}`);
      if ((await same.text()) !== body) throw new Error("the bare server answers other bytes");
      return await alternate({ tasker: url, bare: `${bare.report.origin}${path}` }, options);
    } finally {
      await bare.stop();
    }
  } finally {
    await tasker.stop();
  }
}

/** Measures both in each round, and begins with the other one each time. */
async function alternate(
  urls: Readonly<Record<keyof Round, string>>,
  { rounds, seconds, connections }: Options,
): Promise<Round[]> {
  for (const url of Object.values(urls)) await load({ url, connections, seconds: warmUpSeconds });
  const results: Round[] = [];
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? (["tasker", "bare"] as const) : (["bare", "tasker"] as const);
    const [first, second] = order;
    const one = await load({ url: urls[first], connections, seconds });
    const two = await load({ url: urls[second], connections, seconds });
    results.push(first === "tasker" ? { tasker: one, bare: two } : { tasker: two, bare: one });
    await warmAnswer(urls.tasker);
  }
  return results;
}

async function load(what: Load): Promise<Measured> {
  const child = await startChild(fileOf("load.ts"), what, isMeasured);
  await child.stop();
  return child.report;
}

/** Asks until the answer comes from the cache. */
async function warmAnswer(url: string): Promise<{ readonly body: string; readonly contentType: string }> {
  await (await fetch(url)).arrayBuffer();
  const response = await fetch(url);
  const status = response.headers.get("cache-status") ?? "";
  if (!status.startsWith("tasker; hit")) throw new Error(`the answer is not warm: cache-status is "${status}"`);
  return { body: await response.text(), contentType: response.headers.get("content-type") ?? "" };
}

function print(rounds: readonly Round[]): number {
  const rows = rounds.map((round, index) => [String(index + 1), ...cellsOf(round, ratioOf(round))]);
  const ratio = median(rounds.map(ratioOf));
  const header = ["round", "tasker req/s", "bare req/s", "ratio", "tasker p50 / p99 ms", "bare p50 / p99 ms"];
  console.log(table(header, [...rows, ["median", ...cellsOf(medianOf(rounds), ratio)]]));
  console.log(`\na warm answer costs ${(1 / ratio).toFixed(2)} times what a bare route does`);
  const failures = rounds.reduce((total, { tasker, bare }) => total + tasker.failures + bare.failures, 0);
  if (failures > 0) console.log(`${failures} requests failed`);
  return failures === 0 ? 0 : 1;
}

function ratioOf({ tasker, bare }: Round): number {
  return tasker.requestsPerSecond / bare.requestsPerSecond;
}

function cellsOf({ tasker, bare }: Round, ratio: number): string[] {
  return [
    tasker.requestsPerSecond.toFixed(0),
    bare.requestsPerSecond.toFixed(0),
    ratio.toFixed(3),
    `${tasker.p50Ms} / ${tasker.p99Ms}`,
    `${bare.p50Ms} / ${bare.p99Ms}`,
  ];
}

function medianOf(rounds: readonly Round[]): Round {
  const of = (server: keyof Round): Measured => {
    const at = (figure: keyof Measured): number => median(rounds.map((round) => round[server][figure]));
    return {
      requestsPerSecond: at("requestsPerSecond"),
      p50Ms: at("p50Ms"),
      p99Ms: at("p99Ms"),
      failures: at("failures"),
    };
  };
  return { tasker: of("tasker"), bare: of("bare") };
}

function fileOf(name: string): string {
  return join(import.meta.dirname, name);
}
