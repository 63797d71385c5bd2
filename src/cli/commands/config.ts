import { Command } from "commander";
import { resolveCacheBackend } from "../../config/cache-backend.ts";
import { loadConfig } from "../../config/load.ts";
import { type Config, fields } from "../../config/schema.ts";
import { redactUrl } from "../../runtime/logging.ts";
import type { CommandContext } from "../context.ts";
import { configOption } from "../settings.ts";

interface CheckOptions {
  readonly config?: string;
  readonly json?: boolean;
}

const examples = `
Examples:
  tasker config check --config ./tasker.toml
  TASKER_ENV=production tasker config check --config ./tasker.toml --json`;

/** `tasker config`: looks at the configuration. */
export function configCommand(context: CommandContext): Command {
  const checkCommand = new Command("check")
    .description("Checks the configuration and prints what is in effect, with passwords hidden. Connects to nothing.")
    .option("--json", "print JSON")
    .addOption(configOption())
    .addHelpText("after", examples)
    .action((options: CheckOptions) => check(context, options));
  return new Command("config")
    .description("Looks at the configuration.")
    .addCommand(checkCommand)
    .addHelpText("after", examples);
}

function check({ terminal, env }: CommandContext, { config: file, json }: CheckOptions): void {
  const config = loadConfig({ env, ...(file === undefined ? {} : { file }) });
  const values = [...fields.keys()].map((path) => [path, valueAt(config, path)] as const);
  if (json === true) terminal.print(JSON.stringify(Object.fromEntries(values), null, 2));
  else for (const [path, value] of values) terminal.print(`${path} = ${JSON.stringify(value)}`);
  for (const warning of resolveCacheBackend(config).warnings) terminal.writeError(`warning: ${warning}\n`);
}

/** The value of a key, without the password that it may hold. */
function valueAt(config: Config, path: string): unknown {
  let value: unknown = config;
  for (const key of path.split(".").map(camelCase)) {
    value = typeof value === "object" && value !== null ? new Map(Object.entries(value)).get(key) : undefined;
  }
  return typeof value === "string" ? redactUrl(value) : value;
}

function camelCase(key: string): string {
  return key.replaceAll(/_([a-z])/gu, (_, letter: string) => letter.toUpperCase());
}
