import { randomInt } from "node:crypto";

import { Command, InvalidArgumentError, Option } from "commander";
import { type Diagnosis, type Difference, examineAnalytics } from "../../analytics/doctor.ts";
import { requireMigrated } from "../../postgres/migrate.ts";
import { CommandError } from "../command-error.ts";
import type { CommandContext } from "../context.ts";
import { count, plural } from "../format.ts";
import {
  configOption,
  databaseHost,
  logLevelOption,
  openCommandDatabase,
  readSettings,
  requireDatabase,
  type SettingsOptions,
} from "../settings.ts";
import { table } from "../table.ts";

interface DoctorOptions extends SettingsOptions {
  readonly analytics?: boolean;
  readonly hours: number;
  readonly seed?: number;
}

const hoursByDefault = 24;
const seedMax = 2 ** 31;
/** So many differences are listed. */
const listedMax = 50;

const examples = `
Examples:
  DATABASE_URL=postgres://localhost/tasker tasker doctor --analytics
  tasker doctor --analytics --hours 168 --seed 42`;

/** `tasker doctor`: whether what is kept agrees with what it was made from. */
export function doctorCommand(context: CommandContext): Command {
  return new Command("doctor")
    .description("Recounts what the analytics say, and ends with 1 if anything differs. Changes nothing.")
    .option("--analytics", "examine the analytics: a random window against its facts, counts by state against the rows")
    .addOption(
      new Option("--hours <hours>", "the window begins at a random minute of so many last hours")
        .default(hoursByDefault)
        .argParser(wholeNumber),
    )
    .addOption(new Option("--seed <number>", "repeats the choice of an earlier run").argParser(wholeNumber))
    .addOption(configOption())
    .addOption(logLevelOption())
    .addHelpText("after", examples)
    .action((_, command: Command) => run(context, command.optsWithGlobals<DoctorOptions>()));
}

async function run(context: CommandContext, options: DoctorOptions): Promise<void> {
  const settings = readSettings(context, options);
  const { config } = settings;
  if (options.analytics !== true) throw new CommandError("tasker doctor must be told what to examine: --analytics");
  requireDatabase(config, "tasker doctor");
  const { factsRetentionDays } = config.maintenance;
  const hoursMax = factsRetentionDays * 24;
  if (options.hours < 1 || options.hours > hoursMax) {
    throw new CommandError(
      `--hours must be from 1 to ${hoursMax}, got ${options.hours}: facts are kept for ${plural(factsRetentionDays, "day")}`,
    );
  }
  const database = openCommandDatabase(settings, { command: "doctor", max: 1 });
  try {
    await requireMigrated(database);
    const { hours, seed = randomInt(seedMax) } = options;
    const diagnosis = await examineAnalytics(database, { hours, seed, factsRetentionDays });
    for (const line of linesOf(diagnosis, seed)) context.terminal.print(line);
    const { length } = diagnosis.differences;
    if (length > 0)
      throw new CommandError(`the analytics of ${databaseHost(config)} are wrong in ${plural(length, "figure")}`);
  } finally {
    await database.close();
  }
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
  return `${namespace_name}/${task_name} ${version}${step_name === null ? "" : ` ${step_name}`}`;
}

function cell(value: number | string | null): string {
  if (value === null) return "-";
  return typeof value === "number" ? count(value) : value;
}

function wholeNumber(text: string): number {
  if (/^\d{1,10}$/u.test(text)) return Number(text);
  throw new InvalidArgumentError("Expected a whole number.");
}
