import { randomUUID } from "node:crypto";

import { chainLength, fanWidth, type Workload } from "../workloads.ts";
import type { Record } from "./contract.ts";

/** What a queue of jobs carries: a step of a task. */
export interface Job {
  readonly task: string;
  readonly place: number;
  readonly kind: Workload["kind"];
}

/** What queues without dependencies need to run the workloads: chains by enqueueing at the end, joins by a counter. */
export interface JobQueue {
  send(job: Job): Promise<void>;
  query(text: string, values: readonly unknown[]): Promise<readonly object[]>;
}

/** The counters of the joins, for queues that have none. */
export const joinsTable = "create table bench_joins (task text primary key, missing integer not null)";
export const insertJoins = "insert into bench_joins select unnest($1::text[]), $2";

/** New tasks: their ids, and the jobs that can run at once. */
export function newTasks(workload: Workload, tasks: number): { readonly ids: string[]; readonly jobs: Job[] } {
  const { kind } = workload;
  const ids = Array.from({ length: tasks }, () => randomUUID());
  const places = Array.from({ length: kind === "fan" ? fanWidth : 1 }, (_, place) => place);
  return { ids, jobs: ids.flatMap((task) => places.map((place) => ({ task, place, kind }))) };
}

/** Runs a job: the handler, then what makes its dependant ready. */
export async function runJob(queue: JobQueue, job: Job, record: Record): Promise<void> {
  const { task, place, kind } = job;
  record(task, place);
  if (kind === "chain" && place + 1 < chainLength) await queue.send({ ...job, place: place + 1 });
  if (kind !== "fan" || place === fanWidth) return;
  const text = "update bench_joins set missing = missing - 1 where task = $1 returning missing = 0 as last";
  const [row] = await queue.query(text, [task]);
  if (row !== undefined && "last" in row && row.last === true) await queue.send({ ...job, place: fanWidth });
}
