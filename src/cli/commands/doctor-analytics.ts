import { randomInt } from "node:crypto";

import { type Diagnosis, type Difference, examineAnalytics } from "../../analytics/doctor.ts";
import type { Config } from "../../config/schema.ts";
import type { Database } from "../../postgres/sql.ts";
import { CommandError } from "../command-error.ts";
import { count, plural } from "../format.ts";
import { databaseHost } from "../settings.ts";
import { table } from "../table.ts";
import type { Terminal } from "../terminal.ts";

export interface AnalyticsDoctorOptions {
  readonly hours: number;
  readonly seed?: number;
  readonly json?: boolean;
}

const seedMax = 2 ** 31;
/** So many differences are listed. */
const listedMax = 50;

/** @throws CommandError before anything is read */
export function checkHours({ maintenance }: Config, hours: number): void {
  const { factsRetentionDays } = maintenance;
  const hoursMax = factsRetentionDays * 24;
  if (hours >= 1 && hours <= hoursMax) return;
  throw new CommandError(
    `--hours must be from 1 to ${hoursMax}, got ${hours}: facts are kept for ${plural(factsRetentionDays, "day")}`,
  );
}

/** Recounts what the analytics say. @throws CommandError when anything differs */
export async function doctorAnalytics(
  terminal: Terminal,
  config: Config,
  database: Database,
  options: AnalyticsDoctorOptions,
): Promise<void> {
  const { hours, seed = randomInt(seedMax), json = false } = options;
  const { factsRetentionDays } = config.maintenance;
  const diagnosis = await examineAnalytics(database, { hours, seed, factsRetentionDays });
  if (json) terminal.print(JSON.stringify({ seed, ...diagnosis }, null, 2));
  else for (const line of linesOf(diagnosis, seed)) terminal.print(line);
  const { length } = diagnosis.differences;
  if (length > 0)
    throw new CommandError(`the analytics of ${databaseHost(config)} are wrong in ${plural(length, "figure")}`);
}

function linesOf({ window_start, window_end, facts, tasks, steps, differences }: Diagnosis, seed: number): string[] {
  const examined = [
    `window  ${window_start} to ${window_end} (--seed ${seed}): ${plural(facts, "fact")} recounted`,
    `rows    ${plural(tasks, "task")} and ${plural(steps, "step")} recounted by state`,
  ];
  if (differences.length === 0) return [...examined, "no difference"];
  const more = differences.length - listedMax;
  return [
    ...examined,
    "",
    ...table(
      [
        { heading: "of" },
        { heading: "figure" },
        { heading: "analytics", align: "right" },
        { heading: "recounted", align: "right" },
      ],
      differences.slice(0, listedMax).map((one) => [labelOf(one), one.field, cell(one.analytics), cell(one.recounted)]),
    ),
    ...(more > 0 ? [`and ${count(more)} more`] : []),
  ];
}

function labelOf({ namespace_name, task_name, version, step_name }: Difference): string {
  if (namespace_name === null) return "everything";
  return `${namespace_name}/${task_name} ${version}${step_name === null ? "" : ` ${step_name}`}`;
}

function cell(value: number | string | null): string {
  if (value === null) return "-";
  return typeof value === "number" ? count(value) : value;
}
