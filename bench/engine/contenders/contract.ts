import type { Workload } from "../workloads.ts";

/** Called by each handler, which does nothing else: a step of a task has run. `place` is its place in the task, from 0. */
export type Record = (task: string, place: number) => void;

/** Where a contender works. */
export interface Site {
  /** A database of its own. */
  readonly url: string;
}

export interface WorkerOptions extends Site {
  /** Handlers at once, where the contender knows that. */
  readonly concurrency: number;
  /** The worker's number among those of its contender, from 0. */
  readonly index: number;
  readonly workload: Workload;
  readonly record: Record;
}

/** A worker that runs steps in this process. */
export interface Worker {
  /** Enqueues one task from within this process. Resolves to the id that `record` is told. */
  enqueue(): Promise<string>;
  /** Finishes and records what is running, and closes its connections. */
  stop(): Promise<void>;
}

/** An engine that runs the workloads. */
export interface Contender {
  readonly name: string;
  /** What stands for a chain and a fan in it. */
  readonly means: string;
  /** Whether it runs recorded executions. */
  readonly runsTraces: boolean;
  /** A query that has a row for as long as something is queued, running or not recorded. */
  readonly unfinished: string;
  /** Makes its schema in an empty database. */
  setUp(site: Site): Promise<void>;
  /** Enqueues tasks, and leaves no connection open. */
  enqueue(site: Site, workload: Workload, tasks: number): Promise<void>;
  start(options: WorkerOptions): Promise<Worker>;
}
