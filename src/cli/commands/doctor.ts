import { Command, InvalidArgumentError, Option } from "commander";
import { requireMigrated } from "../../postgres/migrate.ts";
import { CommandError } from "../command-error.ts";
import type { CommandContext } from "../context.ts";
import {
  configOption,
  logLevelOption,
  openCommandDatabase,
  readSettings,
  requireDatabase,
  type SettingsOptions,
} from "../settings.ts";
import { checkHours, doctorAnalytics } from "./doctor-analytics.ts";
import { doctorEngine } from "./doctor-engine.ts";

interface DoctorOptions extends SettingsOptions {
  readonly analytics?: boolean;
  readonly fix?: boolean;
  readonly json?: boolean;
  readonly tasks: number;
  readonly hours: number;
  readonly seed?: number;
}

const hoursByDefault = 24;
const tasksByDefault = 100_000;
const tasksMax = 100_000_000;

const examples = `
Examples:
  DATABASE_URL=postgres://localhost/tasker tasker doctor
  tasker doctor --fix                  sets wrong counters right, then looks again
  tasker doctor --analytics --hours 168 --seed 42`;

/** `tasker doctor`: whether the database is as it should be, and what to do where it is not. */
export function doctorCommand(context: CommandContext): Command {
  return new Command("doctor")
    .description(
      "Looks for what is wrong with the database and says how to mend it; ends with 1 if anything is. Changes nothing without --fix.",
    )
    .option("--fix", "set wrong counters of tasks and steps to what a recount finds; may run beside the fleet")
    .addOption(
      new Option("--tasks <count>", "so many of the newest tasks are looked at")
        .default(tasksByDefault)
        .argParser(wholeNumber),
    )
    .option("--analytics", "recount the analytics instead: a random window, counts by state")
    .addOption(
      new Option("--hours <hours>", "with --analytics: the window begins at a random minute of so many last hours")
        .default(hoursByDefault)
        .argParser(wholeNumber),
    )
    .addOption(
      new Option("--seed <number>", "with --analytics: repeats the choice of an earlier run").argParser(wholeNumber),
    )
    .option("--json", "JSON instead of lines")
    .addOption(configOption())
    .addOption(logLevelOption())
    .addHelpText("after", examples)
    .action((_, command: Command) => run(context, command.optsWithGlobals<DoctorOptions>()));
}

async function run(context: CommandContext, options: DoctorOptions): Promise<void> {
  const settings = readSettings(context, options);
  const { config } = settings;
  requireDatabase(config, "tasker doctor");
  const isAnalytics = options.analytics === true;
  if (isAnalytics && options.fix === true) throw new CommandError("--fix mends counters, nothing of --analytics");
  if (isAnalytics) checkHours(config, options.hours);
  if (options.tasks < 1 || options.tasks > tasksMax) {
    throw new CommandError(`--tasks must be from 1 to ${tasksMax}, got ${options.tasks}`);
  }
  const database = openCommandDatabase(settings, { command: "doctor", max: 1 });
  try {
    if (isAnalytics) {
      await requireMigrated(database);
      await doctorAnalytics(context.terminal, config, database, options);
    } else {
      await doctorEngine(context.terminal, config, database, options);
    }
  } finally {
    await database.close();
  }
}

function wholeNumber(text: string): number {
  if (/^\d{1,10}$/u.test(text)) return Number(text);
  throw new InvalidArgumentError("Expected a whole number.");
}
