/**
 * Time from typing `node dist/main.js dev` on an empty folder to the first answer that comes from the cache.
 * `npm run bench:startup -- [--runs N]`
 */
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";

import { systemClock } from "../../src/runtime/clock.ts";
import { temporaryFolder } from "../support/database.ts";
import { readFlags } from "../support/flags.ts";
import { describeMachine } from "../support/machine.ts";
import { runBenchmark } from "../support/run.ts";
import { median } from "../support/statistics.ts";
import { table } from "../support/table.ts";
import { until } from "../support/waiting.ts";

const program = join(import.meta.dirname, "../../dist/main.js");
const deadlineMs = 60_000;

interface Run {
  readonly listeningMs: number;
  readonly cachedMs: number;
}

await runBenchmark(async (args) => {
  const { runs } = readFlags(args, { runs: { min: 1, max: 100, default: 5 } }).values;
  console.log(`${describeMachine()}\n`);
  const measured: Run[] = [];
  for (let run = 0; run < runs; run++) measured.push(await start());
  const row = (name: string, figures: readonly number[]): string[] => [
    name,
    ...figures.map((ms) => seconds(ms)),
    seconds(median(figures)),
  ];
  console.log(
    table(
      ["seconds after the start", ...measured.map((_, run) => `run ${run + 1}`), "median"],
      [
        row(
          "listening",
          measured.map((run) => run.listeningMs),
        ),
        row(
          "a cached answer about tasks that ended",
          measured.map((run) => run.cachedMs),
        ),
      ],
    ),
  );
  return 0;
});

async function start(): Promise<Run> {
  const folder = temporaryFolder();
  const startedMs = systemClock.monotonicMs();
  const child = spawn(process.execPath, [program, "dev", "--port", "0", "--data-dir", join(folder, "data")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  try {
    const address = (): string | undefined => /http:\/\/127\.0\.0\.1:\d+/u.exec(output)?.[0];
    await until(systemClock, deadlineMs, async () => address() !== undefined, "it did not listen in time");
    const listeningMs = systemClock.monotonicMs() - startedMs;
    const question = `${address()}/v1/analytics/performance?hours=1`;
    await until(systemClock, deadlineMs, () => isCached(question, output), "there was no cached answer in time");
    return { listeningMs, cachedMs: systemClock.monotonicMs() - startedMs };
  } finally {
    child.kill("SIGINT");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Whether the answer is about tasks that ended and came from the cache. It asks only once the batch is over, as a reader would. */
async function isCached(question: string, output: string): Promise<boolean> {
  if (!output.includes("all ended")) return false;
  const response = await fetch(question);
  const answer: unknown = await response.json();
  const hasEnded =
    typeof answer === "object" && answer !== null && "completed_tasks" in answer && Number(answer.completed_tasks) > 0;
  return hasEnded && (response.headers.get("cache-status") ?? "").startsWith("tasker; hit");
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(2);
}
