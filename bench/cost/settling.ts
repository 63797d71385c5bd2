import { type Settlement, settleSteps } from "../../src/engine/settle.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { serverCost } from "./server-cost.ts";
import { applications, foldAll, type Kind, prepareCompletions, type Side } from "./side.ts";

/** What a step's completion cost, in one round. */
export interface StepCost {
  readonly kind: Kind;
  readonly stepsPerSecond: number;
  /** CPU time of the workers' sessions; null where it cannot be read. */
  readonly engineCpuUs: number | null;
  /** CPU time of the session that folds. */
  readonly foldCpuUs: number | null;
  readonly walBytes: number;
}

/** The product's interval. */
const foldIntervalMs = 1000;

/** Completes `steps` steps from all clients at once, `batch` with each call, while the fold runs every second if there is one. */
export async function measureSettling(side: Side, clients: number, steps: number, batch: number): Promise<StepCost> {
  const completions = await prepareCompletions(side, steps);
  // Opens all sessions: who closed one since the last round would take its CPU time along.
  await Promise.all(Array.from({ length: clients }, () => side.engine.query({ text: "select pg_sleep(0.01)" })));
  if (side.kind === "with") await foldAll(side);
  const calls: Settlement[][] = [];
  for (let at = 0; at < completions.length; at += batch) calls.push(completions.slice(at, at + batch));

  const known = Object.values(applications);
  const before = await serverCost(side.chores, known);
  const startedMs = systemClock.monotonicMs();
  let folding = Promise.resolve();
  const fold = (): void => {
    folding = folding.then(() => foldAll(side));
  };
  const timer = side.kind === "with" ? every(foldIntervalMs, fold) : undefined;
  const work = async (): Promise<void> => {
    for (let call = calls.pop(); call !== undefined; call = calls.pop()) {
      const { accepted } = await settleSteps(side.engine, call, "worker:bench");
      if (accepted.size !== call.length) throw new Error("a completion was not accepted");
    }
  };
  await Promise.all(Array.from({ length: clients }, work));
  const seconds = (systemClock.monotonicMs() - startedMs) / 1000;
  timer?.cancel();
  await folding;
  // What the last second left is this round's too.
  if (side.kind === "with") await foldAll(side);
  const after = await serverCost(side.chores, known);

  const cpuPerStep = (application: string): number | null => {
    const [from, to] = [before.cpuUs[application] ?? null, after.cpuUs[application] ?? null];
    return from === null || to === null ? null : (to - from) / steps;
  };
  return {
    kind: side.kind,
    stepsPerSecond: steps / seconds,
    engineCpuUs: cpuPerStep(applications.engine),
    foldCpuUs: cpuPerStep(applications.chores),
    walBytes: (after.walBytes - before.walBytes) / steps,
  };
}

function every(intervalMs: number, run: () => void): { cancel(): void } {
  let timer = systemClock.schedule(intervalMs, function again() {
    run();
    timer = systemClock.schedule(intervalMs, again);
  });
  return { cancel: () => timer.cancel() };
}
