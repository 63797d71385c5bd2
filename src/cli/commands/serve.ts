import { Command } from "commander";
import type { CommandContext } from "../context.ts";
import { runProcess } from "../run-process.ts";
import {
  configOption,
  logLevelOption,
  readSettings,
  requireDatabase,
  type SettingsOptions,
  settingOption,
} from "../settings.ts";

interface ServeOptions extends SettingsOptions {
  readonly port?: string;
  readonly host?: string;
  readonly migrate?: boolean;
}

const examples = `
Examples:
  DATABASE_URL=postgres://localhost/tasker tasker serve
  tasker serve --config /etc/tasker/tasker.toml --migrate`;

/** `tasker serve`: the HTTP API and the maintenance of a database. */
export function serveCommand(context: CommandContext): Command {
  return new Command("serve")
    .description("Serves the HTTP API of the database of DATABASE_URL, and takes its share of the maintenance.")
    .addOption(settingOption("--port <port>", "http.port", "where to listen; 0 takes a free port"))
    .addOption(settingOption("--host <host>", "http.host", "the address to listen on"))
    .option("--migrate", "apply pending migrations; without it they are a reason not to start")
    .addOption(configOption())
    .addOption(logLevelOption())
    .addHelpText("after", examples)
    .action((_, command: Command) => serve(context, command.optsWithGlobals<ServeOptions>()));
}

async function serve(context: CommandContext, options: ServeOptions): Promise<void> {
  const settings = readSettings(context, options, { "http.port": options.port, "http.host": options.host });
  requireDatabase(settings.config, "tasker serve");
  const app = { ...settings, serve: true, migrate: options.migrate === true };
  await runProcess(context, app, () => context.terminal.print("serving; Ctrl-C stops"));
}
