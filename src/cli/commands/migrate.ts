import { Command } from "commander";
import { migrate, migrationStatus } from "../../postgres/migrate.ts";
import type { Database } from "../../postgres/sql.ts";
import { CommandError } from "../command-error.ts";
import type { CommandContext } from "../context.ts";
import { plural } from "../format.ts";
import {
  configOption,
  databaseHost,
  logLevelOption,
  openCommandDatabase,
  readSettings,
  requireDatabase,
  type SettingsOptions,
} from "../settings.ts";
import type { Terminal } from "../terminal.ts";

interface MigrateOptions extends SettingsOptions {
  readonly status?: boolean;
}

/** One holds the lock, one works. */
const connections = 2;

const examples = `
Examples:
  DATABASE_URL=postgres://localhost/tasker tasker migrate
  tasker migrate --status              tells what is pending and ends with 1 if anything is`;

/** `tasker migrate`: brings a database up to date. */
export function migrateCommand(context: CommandContext): Command {
  return new Command("migrate")
    .description("Applies the pending migrations to the database of DATABASE_URL. Several at once take turns.")
    .option("--status", "change nothing; tell what is pending, and fail if anything is")
    .addOption(configOption())
    .addOption(logLevelOption())
    .addHelpText("after", examples)
    .action((_, command: Command) => run(context, command.optsWithGlobals<MigrateOptions>()));
}

async function run(context: CommandContext, options: MigrateOptions): Promise<void> {
  const { terminal } = context;
  const settings = readSettings(context, options);
  const { config } = settings;
  requireDatabase(config, "tasker migrate");
  const database = openCommandDatabase(settings, { command: "migrate", max: connections });
  try {
    if (options.status === true) await showStatus(terminal, database, databaseHost(config));
    else await apply(terminal, database, databaseHost(config));
  } finally {
    await database.close();
  }
}

async function apply(terminal: Terminal, database: Database, host: string): Promise<void> {
  const { applied } = await migrate(database);
  for (const name of applied) terminal.print(`applied  ${name}`);
  terminal.print(
    applied.length === 0
      ? `${host} is up to date`
      : `${host} is up to date: ${plural(applied.length, "migration")} applied`,
  );
}

async function showStatus(terminal: Terminal, database: Database, host: string): Promise<void> {
  const { pending, unknown, changed } = await migrationStatus(database);
  for (const name of pending) terminal.print(`pending  ${name}`);
  for (const name of changed) terminal.print(`changed  ${name} (applied with another text than it has now)`);
  for (const name of unknown) terminal.print(`unknown  ${name} (applied by another version of Tasker)`);
  if (changed.length > 0)
    throw new CommandError(`${host} does not fit: ${plural(changed.length, "migration")} changed; restore the files`);
  if (pending.length > 0)
    throw new CommandError(`${host} lacks ${plural(pending.length, "migration")}. Run: tasker migrate`);
  terminal.print(`${host} is up to date`);
}
