import { nearestRank, sum } from "../support/statistics.ts";
import type { Stored, StoredParts, StoredStep } from "./stored.ts";

/** What the analytics should say of durations, computed from the single values. In seconds; null of no values. */
export interface ExpectedDurations {
  readonly count: number;
  readonly totalSeconds: number;
  readonly averageSeconds: number | null;
  readonly maxSeconds: number | null;
  /** By nearest rank. */
  readonly percentiles: { readonly p50: number; readonly p95: number; readonly p99: number } | null;
}

/** The same for a step, with the means of the parts of its life. */
export interface ExpectedStep extends ExpectedDurations {
  readonly name: string;
  readonly parts: Readonly<Record<"dependency_wait" | "queue_wait" | "retry", number | null>>;
  readonly lastEndedUs: number;
}

/** A window's beginning and end, microseconds since the Unix epoch. */
export interface Window {
  readonly fromUs: number;
  readonly toUs: number;
}

/** RFC 3339 with six fractional digits in microseconds since the Unix epoch. */
export function microsecondsOf(timestamp: string): number {
  return Date.parse(`${timestamp.slice(0, 19)}Z`) * 1000 + Number(timestamp.slice(20, 26));
}

export function durationsOf(us: readonly number[]): ExpectedDurations {
  const sorted = us.toSorted((a, b) => a - b);
  const total = sum(sorted);
  const at = (percent: number): number => nearestRank(sorted, percent) / 1e6;
  const any = sorted.length > 0;
  return {
    count: sorted.length,
    totalSeconds: total / 1e6,
    averageSeconds: any ? total / (sorted.length * 1e6) : null,
    maxSeconds: any ? at(100) : null,
    percentiles: any ? { p50: at(50), p95: at(95), p99: at(99) } : null,
  };
}

/** The durations of the tasks that completed in a window. */
export function expectedTasks({ tasks }: Stored, { fromUs }: Window): ExpectedDurations {
  return durationsOf(
    tasks.flatMap(({ state, createdUs, endedUs }) =>
      state === "complete" && endedUs !== null && endedUs >= fromUs ? [endedUs - createdUs] : [],
    ),
  );
}

/** The figures of all steps that completed in a window, together. */
export function expectedAll(stored: Stored, window: Window): ExpectedStep {
  return figuresOf("", stepsIn(stored, window));
}

/** The figures of each step of a template. */
export function expectedSteps(stored: Stored, window: Window): ExpectedStep[] {
  const groups = new Map<string, StoredStep[]>();
  for (const step of stepsIn(stored, window)) groups.set(step.name, [...(groups.get(step.name) ?? []), step]);
  return [...groups].map(([name, steps]) => figuresOf(name, steps));
}

function stepsIn({ steps }: Stored, { fromUs }: Window): StoredStep[] {
  return steps.filter(({ state, finishedUs }) => state === "complete" && finishedUs !== null && finishedUs >= fromUs);
}

function figuresOf(name: string, steps: readonly StoredStep[]): ExpectedStep {
  const mean = (part: (parts: StoredParts) => number): number | null =>
    durationsOf(steps.flatMap(({ parts }) => (parts === null ? [] : [part(parts)]))).averageSeconds;
  return {
    name,
    ...durationsOf(steps.flatMap(({ runUs }) => (runUs === null ? [] : [runUs]))),
    parts: {
      dependency_wait: mean((parts) => parts.dependencyWaitUs),
      queue_wait: mean((parts) => parts.queueWaitUs),
      retry: mean((parts) => parts.retryUs),
    },
    lastEndedUs: Math.max(...steps.map((step) => step.finishedUs ?? 0)),
  };
}
