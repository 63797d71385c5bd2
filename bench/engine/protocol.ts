import { join } from "node:path";

import type { Workload } from "./workloads.ts";

// What a worker process is told and asked, and what it answers.

export interface Assignment {
  readonly contender: string;
  readonly url: string;
  readonly index: number;
  readonly concurrency: number;
}

export type Question =
  /** Work from now on. */
  | { readonly do: "start"; readonly workload: Workload }
  /** What has run since it was last asked? */
  | { readonly do: "tell" }
  /** Run chains, one at a time, and say when their steps ran; stop after `enoughMs`. */
  | { readonly do: "chains"; readonly chains: number; readonly enoughMs: number }
  | { readonly do: "stop" };

/** A run of a handler, which begins and ends at that moment, in ms of the machine's monotonic clock. */
export type Run = readonly [task: string, place: number, atMs: number];

export interface Answer {
  readonly runs: readonly Run[];
  /** When each chain was about to be enqueued. */
  readonly enqueuedMs: readonly number[];
}

export const workerProgram = join(import.meta.dirname, "worker.ts");

export function isAssignment(message: unknown): message is Assignment {
  return typeof message === "object" && message !== null && "contender" in message && "url" in message;
}

export function isQuestion(message: unknown): message is Question {
  return typeof message === "object" && message !== null && "do" in message;
}

export function isAnswer(message: unknown): message is Answer {
  return typeof message === "object" && message !== null && "runs" in message && "enqueuedMs" in message;
}

/** The same clock in all processes of the machine, unlike that of `performance`, which begins with its process. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
