import type { Random } from "./random.ts";
import type { StepModel, TemplateModel } from "./templates.ts";

/** How a step of a task went, before anybody interfered. Times are microseconds since 1970. */
export interface StepRun {
  readonly position: number;
  readonly lifeStartedAtUs: number;
  readonly readyAtUs: number;
  readonly firstStartedAtUs: number;
  readonly endedAtUs: number;
  readonly retryUs: number;
  /** Of the last attempt. */
  readonly runUs: number;
  readonly attempts: number;
  readonly failedAttempts: number;
  /** `blocked`: a step above it failed, and it never became ready; its times say nothing. */
  readonly outcome: "complete" | "error" | "blocked";
}

/** No attempt runs longer. */
const runMaxUs = 3600 * 1e6;
/** From a handler's return to the commit of its result. */
const commitUs = 2_000;
/** Of the attempts that fail: another one cannot help. */
const permanentShare = 0.15;
const backoffUs = 1e6;
const backoffMaxUs = 60 * 1e6;

/**
 * Runs the steps of a template that are not done yet, from `startUs` on.
 *
 * @param queueUs the mean wait for a worker
 */
export function runGraph(
  random: Random,
  template: TemplateModel,
  startUs: number,
  queueUs: number,
  { done, allSucceed = false }: { readonly done?: ReadonlySet<number>; readonly allSucceed?: boolean } = {},
): readonly StepRun[] {
  const runs: StepRun[] = [];
  const byPosition: (StepRun | undefined)[] = [];
  for (const [position, step] of template.steps.entries()) {
    if (done?.has(position) === true) continue;
    let readyAtUs = startUs;
    let isBlocked = false;
    for (const parent of step.after) {
      const above = byPosition[parent];
      if (above === undefined) continue;
      if (above.outcome !== "complete") isBlocked = true;
      readyAtUs = Math.max(readyAtUs, above.endedAtUs);
    }
    const run = isBlocked
      ? { ...nothing, position, lifeStartedAtUs: startUs }
      : runStep(random, step, { position, lifeStartedAtUs: startUs, readyAtUs, queueUs, allSucceed });
    byPosition[position] = run;
    runs.push(run);
  }
  return runs;
}

const nothing = {
  readyAtUs: 0,
  firstStartedAtUs: 0,
  endedAtUs: 0,
  retryUs: 0,
  runUs: 0,
  attempts: 0,
  failedAttempts: 0,
  outcome: "blocked" as const,
};

interface Readiness {
  readonly position: number;
  readonly lifeStartedAtUs: number;
  readonly readyAtUs: number;
  readonly queueUs: number;
  readonly allSucceed: boolean;
}

function runStep(random: Random, step: StepModel, readiness: Readiness): StepRun {
  const { position, lifeStartedAtUs, readyAtUs, queueUs, allSucceed } = readiness;
  const firstStartedAtUs = readyAtUs + Math.floor(random.exponential(queueUs));
  let startedAtUs = firstStartedAtUs;
  let attempts = 1;
  for (;;) {
    const fullRunUs = Math.min(runMaxUs, Math.round(random.logNormal(step.medianRunUs, step.sigma)));
    const fails = !allSucceed && random.uniform() < step.attemptFailureShare;
    // One that fails does so anywhere on its way.
    const runUs = fails ? Math.floor(fullRunUs * random.uniform()) : fullRunUs;
    const endedAtUs = startedAtUs + runUs + commitUs;
    const isFinal = fails && (attempts === step.maxAttempts || random.uniform() < permanentShare);
    if (!fails || isFinal) {
      const retryUs = startedAtUs - firstStartedAtUs;
      const failedAttempts = attempts - 1 + (fails ? 1 : 0);
      return {
        position,
        lifeStartedAtUs,
        readyAtUs,
        firstStartedAtUs,
        endedAtUs,
        retryUs,
        runUs,
        attempts,
        failedAttempts,
        outcome: fails ? "error" : "complete",
      };
    }
    const delayUs = random.uniform() * Math.min(backoffMaxUs, backoffUs * 2 ** (attempts - 1));
    startedAtUs = endedAtUs + Math.floor(delayUs + random.exponential(queueUs));
    attempts += 1;
  }
}
