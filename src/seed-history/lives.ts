import type { StepState, TaskState } from "../workflow/states.ts";
import { dayUs, hourlyLoad, hourUs } from "./calendar.ts";
import type { HistoryParameters } from "./parameters.ts";
import { Random } from "./random.ts";
import { runGraph, type StepRun } from "./step-runs.ts";
import { switchShare, type TemplateLine, type TemplateModel } from "./templates.ts";

/** The end of a life of a step. Times are microseconds since 1970; the four parts sum to the life. */
export interface EndedStep {
  /** Its position in the template. */
  readonly position: number;
  readonly endedAtUs: number;
  readonly dependencyWaitUs: number;
  readonly queueWaitUs: number;
  readonly retryUs: number;
  readonly runUs: number;
  readonly attempts: number;
  readonly failedAttempts: number;
  readonly outcome: Extract<StepState, "complete" | "error" | "cancelled" | "blocked">;
  readonly reopened: boolean;
}

/** The end of a life of a task. */
export interface EndedTask {
  readonly endedAtUs: number;
  readonly durationUs: number;
  readonly failedStepCount: number;
  readonly outcome: Extract<TaskState, "complete" | "error" | "cancelled" | "resolved_manually">;
  readonly reopened: boolean;
}

/** Everything that happened to a task. */
export interface TaskHistory {
  readonly template: TemplateModel;
  readonly createdAtUs: number;
  /** The random bits of its id. */
  readonly idBits: readonly [number, number, number];
  /** Of all lives, an earlier life of a step before a later one. */
  readonly steps: readonly EndedStep[];
  /** Of all lives, the earlier before the later. */
  readonly ends: readonly EndedTask[];
}

const cancelledShare = 0.004;
/** Of the tasks that failed: an operator resets what failed, or declares the task dealt with. */
const resetShare = 0.12;
const resolvedShare = 0.06;
const operatorDelayUs = 20 * 60 * 1e6;
/** Waiting for a worker, on the average: at night, and how much longer in the busiest hour. */
const quietQueueUs = 8_000;
const busyQueueUs = 120_000;
const redrawsMax = 30;

/**
 * The tasks of a history in the order of their creation. All have ended before `untilUs`; none ends before it was created.
 *
 * @param lines the plan's templates
 */
export function* taskHistories(
  parameters: HistoryParameters,
  lines: readonly TemplateLine[],
  untilUs: number,
): Generator<TaskHistory> {
  const { tasks, days, seed } = parameters;
  const random = new Random(seed, 2);
  const choose = weighted(lines);
  const switchAtUs = untilUs - days * dayUs * (1 - switchShare);
  for (const hour of hourlyLoad(tasks, days, untilUs)) {
    const spacingUs = hourUs / Math.max(1, hour.tasks);
    const queueUs = quietQueueUs + busyQueueUs * hour.load ** 3;
    for (let index = 0; index < hour.tasks; index++) {
      const createdAtUs = Math.floor(hour.fromUs + (index + random.uniform()) * spacingUs);
      const { versions } = choose(random.uniform());
      const template = (createdAtUs >= switchAtUs ? versions.at(-1) : versions[0]) as TemplateModel;
      yield endedInTime(random, { template, createdAtUs, untilUs, queueUs });
    }
  }
}

interface Creation {
  readonly template: TemplateModel;
  readonly createdAtUs: number;
  readonly untilUs: number;
  readonly queueUs: number;
}

/** A history that has ended: of those tasks that were created last only the short ones have. */
function endedInTime(random: Random, creation: Creation): TaskHistory {
  const { template, createdAtUs, untilUs } = creation;
  const idBits = [random.uint32(), random.uint32(), random.uint32()] as const;
  for (let draw = 0; draw < redrawsMax; draw++) {
    const { steps, ends } = live(random, creation);
    if ((ends.at(-1)?.endedAtUs ?? untilUs) < untilUs) return { template, createdAtUs, idBits, steps, ends };
  }
  // Nothing is so short: an operator cancelled it.
  const runs = runGraph(random, template, createdAtUs, creation.queueUs);
  const { steps, ends } = cancelledAt(runs, createdAtUs, untilUs - 1);
  return { template, createdAtUs, idBits, steps, ends };
}

type Lives = Pick<TaskHistory, "steps" | "ends">;

function live(random: Random, { template, createdAtUs, queueUs }: Creation): Lives {
  const runs = runGraph(random, template, createdAtUs, queueUs);
  const endedAtUs = lastEnd(runs);
  if (random.uniform() < cancelledShare) {
    const atUs = Math.floor(createdAtUs + random.uniform() * (endedAtUs - createdAtUs));
    return cancelledAt(runs, createdAtUs, atUs);
  }
  const steps: EndedStep[] = [];
  let failed = 0;
  for (const run of runs) {
    if (run.outcome === "error") failed += 1;
    steps.push(run.outcome === "blocked" ? blocked(run, createdAtUs, endedAtUs) : ended(run, false));
  }
  const first = taskEnd(failed === 0 ? "complete" : "error", createdAtUs, endedAtUs, failed, false);
  if (failed === 0) return { steps, ends: [first] };
  const chance = random.uniform();
  if (chance >= resetShare + resolvedShare) return { steps, ends: [first] };
  const actedAtUs = Math.floor(endedAtUs + 1e6 + random.exponential(operatorDelayUs));
  if (chance >= resetShare) {
    return { steps, ends: [first, taskEnd("resolved_manually", actedAtUs, actedAtUs, failed, true)] };
  }
  const again = runGraph(random, template, actedAtUs, queueUs, {
    done: new Set(runs.flatMap(({ outcome: of, position }) => (of === "complete" ? [position] : []))),
    allSucceed: true,
  });
  return {
    steps: [...steps, ...again.map((run) => ended(run, true))],
    ends: [first, taskEnd("complete", actedAtUs, lastEnd(again), 0, true)],
  };
}

function lastEnd(runs: readonly StepRun[]): number {
  let lastUs = 0;
  for (const { endedAtUs } of runs) if (endedAtUs > lastUs) lastUs = endedAtUs;
  return lastUs;
}

function taskEnd(
  outcome: EndedTask["outcome"],
  lifeStartedAtUs: number,
  endedAtUs: number,
  failedStepCount: number,
  reopened: boolean,
): EndedTask {
  return { outcome, endedAtUs, durationUs: endedAtUs - lifeStartedAtUs, failedStepCount, reopened };
}

function ended(run: StepRun, reopened: boolean): EndedStep {
  const { position, endedAtUs, lifeStartedAtUs, readyAtUs, retryUs, runUs, attempts, failedAttempts } = run;
  const dependencyWaitUs = readyAtUs - lifeStartedAtUs;
  return {
    position,
    endedAtUs,
    dependencyWaitUs,
    queueWaitUs: endedAtUs - readyAtUs - retryUs - runUs,
    retryUs,
    runUs,
    attempts,
    failedAttempts,
    outcome: run.outcome === "error" ? "error" : "complete",
    reopened,
  };
}

const neverRan = { queueWaitUs: 0, retryUs: 0, runUs: 0, attempts: 0, failedAttempts: 0, reopened: false };

function blocked({ position }: StepRun, createdAtUs: number, endedAtUs: number): EndedStep {
  return { ...neverRan, position, endedAtUs, dependencyWaitUs: endedAtUs - createdAtUs, outcome: "blocked" };
}

/** The task's lives when it was cancelled at `atUs`: what had ended stays, all else ends there. */
function cancelledAt(runs: readonly StepRun[], createdAtUs: number, atUs: number): Lives {
  const steps = runs.map((run): EndedStep => {
    if (run.outcome !== "blocked" && run.endedAtUs <= atUs) return ended(run, false);
    const readyAtUs = run.outcome === "blocked" ? atUs : Math.min(run.readyAtUs, atUs);
    const isStarted = run.outcome !== "blocked" && run.firstStartedAtUs < atUs;
    const dependencyWaitUs = readyAtUs - createdAtUs;
    return {
      ...neverRan,
      position: run.position,
      endedAtUs: atUs,
      dependencyWaitUs,
      queueWaitUs: atUs - createdAtUs - dependencyWaitUs,
      attempts: isStarted ? 1 : 0,
      outcome: "cancelled",
    };
  });
  const failedCount = steps.filter(({ outcome }) => outcome === "error").length;
  return { steps, ends: [taskEnd("cancelled", createdAtUs, atUs, failedCount, false)] };
}

/** Picks by weight from a number in [0, 1). */
function weighted(lines: readonly TemplateLine[]): (chance: number) => TemplateLine {
  let total = 0;
  const upTo = lines.map(({ weight }) => (total += weight));
  return (chance) => {
    const target = chance * total;
    let low = 0;
    let high = upTo.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((upTo[middle] ?? 0) > target) high = middle;
      else low = middle + 1;
    }
    return lines[low] as TemplateLine;
  };
}
