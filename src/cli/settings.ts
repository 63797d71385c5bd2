import { InvalidArgumentError, Option } from "commander";
import { loadConfig, type Override } from "../config/load.ts";
import type { Field } from "../config/field.ts";
import { type Config, type ConfigPath, environmentName, fields } from "../config/schema.ts";
import { openDatabase } from "../postgres/pool.ts";
import type { Database } from "../postgres/sql.ts";
import { createLogger, type Logger, type LogLevel } from "../runtime/logging.ts";
import { CommandError } from "./command-error.ts";
import type { CommandContext } from "./context.ts";

/** Options of every command that reads the configuration. */
export interface SettingsOptions {
  readonly config?: string;
  readonly logLevel?: string;
  readonly debug?: boolean;
}

/** Names the configuration's file. */
export function configOption(): Option {
  return new Option("--config <file>", "the configuration's TOML file (default: what TASKER_CONFIG names, if set)");
}

/** How much is logged; `byDefault` where a command is quieter than the configuration's default. */
export function logLevelOption(byDefault?: LogLevel): Option {
  const expected = fieldOf("logging.level").expected;
  return settingOption(
    "--log-level <level>",
    "logging.level",
    `what is logged to standard error, ${expected}`,
    byDefault,
  );
}

/** An option that overrides a key of the configuration: checked as that key is, before anything starts. */
export function settingOption(
  flags: string,
  path: ConfigPath,
  description: string,
  byDefault: unknown = fieldOf(path).default,
): Option {
  const field = fieldOf(path);
  const origin = `default: ${environmentName(path)}, else ${String(byDefault)}`;
  return new Option(flags, `${description} (${origin})`).argParser((text) => {
    if (field.acceptText(text) === undefined) throw new InvalidArgumentError(`Expected ${field.expected}.`);
    return text;
  });
}

function fieldOf(path: ConfigPath): Field<unknown> {
  const field = fields.get(path);
  if (field === undefined) throw new Error(`the configuration has no key ${path}`);
  return field;
}

export interface Settings {
  readonly config: Config;
  /** JSON lines on standard error, or lines for people when that is a terminal. */
  readonly logger: Logger;
}

/**
 * Reads the configuration of a command. `defaults` are the command's own, for keys that nobody sets.
 *
 * @throws ConfigError
 */
export function readSettings(
  { env, terminal }: CommandContext,
  options: SettingsOptions,
  overrides: Readonly<Partial<Record<ConfigPath, Override>>> = {},
  defaults: Readonly<Partial<Record<ConfigPath, Override>>> = {},
): Settings {
  const { config: file, debug, logLevel = debug === true ? "debug" : undefined } = options;
  const config = loadConfig({
    env,
    ...(file === undefined ? {} : { file }),
    overrides: { ...overrides, "logging.level": logLevel },
    defaults,
  });
  const logger = createLogger({
    level: config.logging.level,
    pretty: terminal.isLogInteractive,
    destination: { write: (line) => terminal.writeError(line) },
  });
  return { config, logger };
}

/** @throws CommandError when no database is configured: the process of a fleet must not quietly run on one of its own */
export function requireDatabase({ database }: Config, command: string): void {
  if (database.url !== "") return;
  throw new CommandError(
    `${command} needs a database: DATABASE_URL=postgres://user@host:5432/database ${command} ... ` +
      `("tasker dev" brings its own)`,
  );
}

/** Names the configured database without its credentials. */
export function databaseHost({ database }: Config): string {
  const host = URL.canParse(database.url) ? new URL(database.url).host : "";
  return host === "" ? "the configured database" : host;
}

/** The database of a command that runs once. No statement has a time limit. */
export function openCommandDatabase(
  { config: { database }, logger }: Settings,
  { command, max }: { readonly command: string; readonly max: number },
): Database {
  return openDatabase({
    connectionString: database.url,
    applicationName: `tasker ${command}`,
    max,
    connectTimeoutMs: database.connectTimeoutMs,
    idleInTransactionTimeoutMs: database.idleInTransactionTimeoutMs,
    transactionPooling: database.transactionPooling,
    preparedStatements: database.preparedStatements,
    onError: (error) => logger.debug({ err: error }, "an idle connection was lost"),
  });
}
