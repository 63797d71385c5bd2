import { Command } from "commander";
import { type CacheBackendChoice, resolveCacheBackend } from "../../config/cache-backend.ts";
import { loadSourcedConfig } from "../../config/load.ts";
import { type Config, type ConfigPath, fields } from "../../config/schema.ts";
import { redactUrl } from "../../runtime/logging.ts";
import type { CommandContext } from "../context.ts";
import { configOption } from "../settings.ts";

interface CheckOptions {
  readonly config?: string;
  readonly json?: boolean;
}

/** A key as it is in effect. */
interface Setting {
  readonly value: unknown;
  readonly source: string;
  /** What the value alone does not tell. */
  readonly note?: string;
}

const examples = `
Examples:
  tasker config check --config ./tasker.toml
  TASKER_ENV=production tasker config check --config ./tasker.toml --json`;

/** `tasker config`: looks at the configuration. */
export function configCommand(context: CommandContext): Command {
  const checkCommand = new Command("check")
    .description(
      "Checks the configuration and prints what is in effect and where each value comes from, with passwords hidden. " +
        "Connects to nothing.",
    )
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
  const { config, sources } = loadSourcedConfig({ env, ...(file === undefined ? {} : { file }) });
  const choice = resolveCacheBackend(config);
  const notes = notesOn(config, choice);
  const settings = [...fields.keys()].map((path): readonly [string, Setting] => {
    const note = notes.get(path);
    const setting = { value: valueAt(config, path), source: sources.get(path) ?? "" };
    return [path, note === undefined ? setting : { ...setting, note }];
  });
  if (json === true) terminal.print(JSON.stringify(Object.fromEntries(settings), null, 2));
  else for (const [path, setting] of settings) terminal.print(lineOf(path, setting));
  for (const warning of choice.warnings) terminal.writeError(`warning: ${warning}\n`);
}

/** A line of TOML but for the section, which stands before the key. */
function lineOf(path: string, { value, source, note }: Setting): string {
  return `${path} = ${JSON.stringify(value)}  # ${source}${note === undefined ? "" : `; ${note}`}`;
}

/** By path, what a reader of the values would otherwise guess wrong. */
function notesOn(config: Config, { backend }: CacheBackendChoice): ReadonlyMap<string, string> {
  const { enabled, backend: name } = config.common.cache;
  const notes: (readonly [ConfigPath, string])[] = [
    ["common.cache.redis.max_connections", "an upper bound: one pipelined connection serves"],
    ["common.cache.redis.connection_timeout_seconds", "limits connecting, in the background: nothing waits for it"],
  ];
  if (config.database.url === "") notes.push(["database.url", "the embedded server, in embedded.data_dir"]);
  if (!enabled) notes.push(["common.cache.enabled", "nothing is cached"]);
  else if (backend !== name || backend === "memory") notes.push(["common.cache.backend", backendNotes[backend]]);
  return new Map(notes);
}

const backendNotes: Readonly<Record<CacheBackendChoice["backend"], string>> = {
  redis: "means redis",
  memory: "the memory of each process, for analytics; templates go uncached",
  none: "nothing is cached",
};

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
