import { writeFile } from "node:fs/promises";

import { Command, InvalidArgumentError, Option } from "commander";
import { systemClock } from "../../runtime/clock.ts";
import {
  defaultHistory,
  type HistoryParameters,
  historyRanges,
  SeedHistoryError,
} from "../../seed-history/parameters.ts";
import { type SeededHistory, seedHistory } from "../../seed-history/seed-history.ts";
import { truthOf } from "../../seed-history/truth.ts";
import { CommandError, exitCodes } from "../command-error.ts";
import type { CommandContext } from "../context.ts";
import { count, duration } from "../format.ts";
import {
  configOption,
  logLevelOption,
  openCommandDatabase,
  readSettings,
  requireDatabase,
  type SettingsOptions,
} from "../settings.ts";
import type { Terminal } from "../terminal.ts";

interface SeedOptions extends SettingsOptions, Partial<HistoryParameters> {
  readonly until?: number;
  readonly truth?: string;
  readonly force?: boolean;
}

const connections = 2;

const examples = `
Examples:
  DATABASE_URL=postgres://localhost/demo tasker seed-history
  tasker seed-history --tasks 2000000 --days 30 --identities 5000
  tasker seed-history --seed 7 --until 2026-01-01T00:00:00Z --truth truth.json

The tasks have ended: none is in the database as a row, and no worker is given any.`;

/** `tasker seed-history`: writes a made-up history for tests, demonstrations and benchmarks. */
export function seedHistoryCommand(context: CommandContext): Command {
  return new Command("seed-history")
    .description(
      "Fills the analytics of the database of DATABASE_URL with a realistic history of tasks that have ended.",
    )
    .addOption(numberOption("--tasks <count>", "tasks", "how many tasks"))
    .addOption(numberOption("--days <days>", "days", "over how many days they are spread"))
    .addOption(numberOption("--identities <count>", "identities", "templates and steps in all"))
    .addOption(numberOption("--seed <number>", "seed", "the same seed makes the same history"))
    .addOption(
      new Option("--until <time>", "where it ends, RFC 3339 (default: the database's time, to the minute)").argParser(
        timeOf,
      ),
    )
    .option("--truth <file>", "write what the history was made from as JSON")
    .option("--force", "seed beside the tasks that the database has")
    .addOption(configOption())
    .addOption(logLevelOption())
    .addHelpText("after", examples)
    .action((_, command: Command) => run(context, command.optsWithGlobals<SeedOptions>()));
}

async function run(context: CommandContext, options: SeedOptions): Promise<void> {
  const { terminal } = context;
  const settings = readSettings(context, options);
  const { config } = settings;
  requireDatabase(config, "tasker seed-history");
  const { tasks, days, identities, seed } = { ...defaultHistory, ...options };
  const parameters = { tasks, days, identities, seed };
  const { url, directUrl, connectTimeoutMs } = config.database;
  const database = openCommandDatabase(settings, { command: "seed-history", max: connections });
  const startedMs = systemClock.monotonicMs();
  // Without the VACUUM after it.
  let seconds = 0;
  const report = progress(terminal, tasks, startedMs);
  try {
    const seeded = await seedHistory({
      database,
      // Its connection loads in bulk, for which a pooler has no use.
      connectionString: directUrl === "" ? url : directUrl,
      connectTimeoutMs,
      parameters,
      factsRetentionDays: config.maintenance.factsRetentionDays,
      force: options.force === true,
      ...(options.until === undefined ? {} : { untilUs: options.until }),
      onProgress: (written) => {
        seconds = secondsSince(startedMs);
        report(written);
      },
    });
    terminal.live("");
    terminal.print(
      `seeded ${count(seeded.tasks)} tasks with ${count(seeded.steps)} ended steps in ${duration(seconds)} ` +
        `(${count(Math.round(seeded.steps / seconds))} steps/s), and vacuumed in ${duration(secondsSince(startedMs) - seconds)}`,
    );
    await writeTruth(options.truth, parameters, seeded);
  } catch (error) {
    if (!(error instanceof SeedHistoryError)) throw error;
    const exitCode = error.code === "invalid_parameter" ? exitCodes.usage : exitCodes.failure;
    throw new CommandError(error.message, { cause: error, exitCode });
  } finally {
    await database.close();
  }
}

/** A living line where somebody watches, else a line for each tenth. */
function progress(
  terminal: Terminal,
  tasks: number,
  startedMs: number,
): (written: Readonly<{ tasks: number; steps: number }>) => void {
  let tenths = 0;
  return (written) => {
    const rate = count(Math.round(written.steps / secondsSince(startedMs)));
    const line = `${count(written.tasks)} of ${count(tasks)} tasks, ${count(written.steps)} steps, ${rate} steps/s`;
    terminal.live(line);
    const reached = Math.floor((10 * written.tasks) / tasks);
    if (terminal.isInteractive || reached === tenths) return;
    tenths = reached;
    terminal.print(line);
  };
}

async function writeTruth(
  file: string | undefined,
  parameters: HistoryParameters,
  seeded: SeededHistory,
): Promise<void> {
  if (file === undefined) return;
  try {
    await writeFile(file, `${JSON.stringify(truthOf(parameters, seeded), null, 2)}\n`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandError(`the history is seeded, but its truth could not be written: ${reason}`, { cause: error });
  }
}

function secondsSince(startedMs: number): number {
  return Math.max(0.001, (systemClock.monotonicMs() - startedMs) / 1000);
}

function numberOption(flags: string, name: keyof HistoryParameters, description: string): Option {
  const { min, max } = historyRanges[name];
  return new Option(flags, `${description}, ${min} to ${max} (default: ${defaultHistory[name]})`).argParser((text) => {
    const value = /^\d+$/u.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
    return value;
  });
}

/** Microseconds since 1970. */
function timeOf(text: string): number {
  const ms = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,3})?Z$/u.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) throw new InvalidArgumentError("Expected a time like 2026-01-01T00:00:00Z.");
  return ms * 1000;
}
