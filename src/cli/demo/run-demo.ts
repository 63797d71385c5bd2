import { TaskerClient } from "../../client/client.ts";
import { askTwice, type Question } from "./ask-twice.ts";
import type { Demo } from "./demo.ts";
import { runFirstBatch } from "./first-batch.ts";
import { bottlenecksHeadline, performanceHeadline } from "./headlines.ts";
import { showTask } from "./show-task.ts";
import { streamTasks } from "./stream.ts";

const batchSize = 60;
const streamIntervalMs = 2000;

/** What the demo asks, and has its reader ask: with other parameters the reader would find other answers. */
const questions: readonly Question[] = [
  { path: "performance?hours=1", headline: performanceHeadline },
  { path: "bottlenecks?hours=1&min_executions=1", headline: bottlenecksHeadline },
];

/**
 * The demo: a batch of tasks, one of them in detail, the analytics asked twice, then a gentle stream until the process is
 * to stop.
 */
export async function runDemo(demo: Demo): Promise<void> {
  try {
    await showAll(demo);
  } catch (error) {
    // While the process stops, parts that the demo uses are gone already.
    if (!demo.stop.signal.aborted) throw error;
  }
}

async function showAll(demo: Demo): Promise<void> {
  const { address, firstNumber, terminal, stop, analyticsTtlSeconds } = demo;
  const outcomes = await runFirstBatch(demo, firstNumber, batchSize);
  if (outcomes === undefined) return;
  const client = new TaskerClient({ baseUrl: address });
  await showTask(client, terminal, outcomes, stop.signal);
  await askTwice(demo, questions);
  terminal.print(terminal.style("bold", "Try it"));
  for (const { path } of questions) terminal.print(`  curl -i "${address}/v1/analytics/${path}"`);
  if (analyticsTtlSeconds > 0) {
    terminal.print(
      `  Answers are cached for ${analyticsTtlSeconds} s: until then you see the ones above (Cache-Status: hit, and their Age), then new ones.`,
    );
  }
  terminal.print();
  terminal.print(`Another task starts every ${streamIntervalMs / 1000} s. Ctrl-C stops.`);
  await streamTasks(demo, firstNumber + batchSize, streamIntervalMs);
}
