import { AnalyticsQueryService } from "../../src/analytics/analytics-query-service.ts";
import type { App } from "../../src/app.ts";
import { type Clock, systemClock } from "../../src/runtime/clock.ts";
import type { TemplateName } from "../../src/workflow/template.ts";
import { startBenchApp } from "../support/app.ts";
import { allFolded } from "../support/folding.ts";
import { within } from "../support/waiting.ts";
import { askAnalytics } from "./answered.ts";
import { definitionOf } from "./definition.ts";
import type { Evidence, LabelledAnswers, Run } from "./evidence.ts";
import { Recorder } from "./recorder.ts";
import { readStored } from "./stored.ts";
import type { Trace } from "./trace.ts";

export interface ReplayOptions {
  /** The database; it is migrated. */
  readonly url: string;
  /** Seconds that a handler waits for each second of the trace. */
  readonly scale: number;
  /** How often the trace is run, one after the other. */
  readonly repeat: number;
  /** Handlers at once, at most 1000. */
  readonly concurrency: number;
  /** Default: the product's. */
  readonly foldIntervalMs?: number;
}

/** A replay that takes longer than its waits and this has come to a halt. */
const patienceMs = 120_000;

/**
 * Runs a trace on the engine: a process without HTTP, with one worker and the maintenance services. Gathers what the handlers
 * saw, what was recorded and what the analytics answer; `violationsOf` judges it.
 *
 * @throws when a run does not come to its end
 */
export async function replay(trace: Trace, options: ReplayOptions): Promise<Evidence> {
  const clock = systemClock;
  const recorder = new Recorder(clock);
  const definition = definitionOf(trace, options.scale, recorder);
  const { concurrency, foldIntervalMs, url } = options;
  const app = await startBenchApp({ url, definitions: [definition], concurrency, foldIntervalMs });
  try {
    const runs: Run[] = [];
    for (let run = 0; run < options.repeat; run++) {
      runs.push(await runOnce(app, definition.name, trace, options.scale, clock));
    }
    const stored = await readStored(app.database, definition.name);
    const answers = await askAtOnceAndFolded(app, definition.name, clock);
    return { trace, runs, calls: recorder.calls, stored, answers };
  } finally {
    await app.stop();
  }
}

async function runOnce(
  { submitter, outcomes }: App,
  template: TemplateName,
  trace: Trace,
  scale: number,
  clock: Clock,
): Promise<Run> {
  const startedMs = clock.monotonicMs();
  const [task] = await submitter.submit(template, [{ input: null }]);
  if (task === undefined) throw new Error(`no task of ${trace.name} was created`);
  const waitsMs = trace.steps.reduce((total, step) => total + step.runSeconds * 1000 * scale, 0);
  const message = `${trace.name} has come to a halt: task ${task.id} does not end`;
  await within(clock, waitsMs + patienceMs, outcomes.wait(task.id), message);
  return { taskId: task.id, wallMs: clock.monotonicMs() - startedMs };
}

/** Asks for a day and for all history, at once and when all is folded: it must not change the answers. */
async function askAtOnceAndFolded({ database }: App, template: TemplateName, clock: Clock): Promise<LabelledAnswers[]> {
  const queries = new AnalyticsQueryService({
    database,
    enginePool: () => database.usage(),
    thresholds: { errorRate: 0.2, poolUtilization: 0.8, slowStepSeconds: 30 },
  });
  const answers: LabelledAnswers[] = [];
  for (const when of ["at once", "folded"]) {
    if (when === "folded") await allFolded(database, clock);
    for (const [hours, window] of [
      [24, "24 h"],
      [0, "all history"],
    ] as const) {
      answers.push({ label: `${window}, ${when}`, answered: await askAnalytics(queries, database, template, hours) });
    }
  }
  return answers;
}
