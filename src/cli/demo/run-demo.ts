import type { App } from "../../app.ts";
import { TaskerClient } from "../../client/client.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/logging.ts";
import { plural } from "../format.ts";
import type { StopSignal } from "../stop-signal.ts";
import type { Terminal } from "../terminal.ts";
import { askTwice } from "./ask-twice.ts";
import { countTasks } from "./count-tasks.ts";
import { runFirstBatch } from "./first-batch.ts";
import { showTask } from "./show-task.ts";
import { streamTasks } from "./stream.ts";

export interface Demo {
  readonly app: App;
  /** Of the HTTP API. */
  readonly address: string;
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly stop: StopSignal;
  readonly analyticsTtlSeconds: number;
  readonly logger: Logger;
}

const batchSize = 60;
const streamIntervalMs = 2000;

/** The questions that the demo asks, and has its reader ask. */
const questions = ["performance?hours=1", "bottlenecks?hours=1&min_executions=1"];

/**
 * The demo: a batch of tasks, one of them in detail, the analytics asked twice, then a gentle stream until the process is
 * to stop. What the second start finds is told, and goes on from there.
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
  const { app, address, terminal, stop, analyticsTtlSeconds } = demo;
  const existing = await countTasks(app.database);
  if (existing > 0) terminal.print(`          ${plural(existing, "task")} from earlier starts are there`);
  terminal.print();
  const outcomes = await runFirstBatch(demo, existing + 1, batchSize);
  if (outcomes === undefined) return;
  const client = new TaskerClient({ baseUrl: address });
  await showTask(client, terminal, outcomes, stop.signal);
  await askTwice(demo, questions);
  terminal.print(terminal.style("bold", "Try it"));
  for (const question of questions) terminal.print(`  curl -i "${address}/v1/analytics/${question}"`);
  terminal.print(
    `  Answers are cached for ${analyticsTtlSeconds} s: until then you see the ones above (Cache-Status: hit, and their Age), then new ones.`,
  );
  terminal.print();
  terminal.print(`Another task starts every ${streamIntervalMs / 1000} s. Ctrl-C stops.`);
  await streamTasks(demo, existing + 1 + batchSize, streamIntervalMs);
}
