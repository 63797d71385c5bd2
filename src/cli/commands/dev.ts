import { Command, Option } from "commander";
import { resolveCacheBackend } from "../../config/cache-backend.ts";
import { systemClock } from "../../runtime/clock.ts";
import { CommandError, exitCodes } from "../command-error.ts";
import type { CommandContext } from "../context.ts";
import { countTasks } from "../count-tasks.ts";
import { runDemo } from "../demo/run-demo.ts";
import { demoDefinitions } from "../demo/workload.ts";
import { plural } from "../format.ts";
import { runProcess } from "../run-process.ts";
import { configOption, logLevelOption, readSettings, type SettingsOptions, settingOption } from "../settings.ts";
import { importTasks } from "../task-module.ts";

interface DevOptions extends SettingsOptions {
  readonly port?: string;
  readonly host?: string;
  readonly dataDir?: string;
  readonly tasks?: string;
  readonly demo?: boolean;
  readonly migrate?: boolean;
}

const examples = `
Examples:
  tasker dev                           an embedded Postgres in ./.tasker, and the demo
  tasker dev --tasks ./tasks.js        the same with your own tasks instead of the demo
  tasker dev --port 0 --data-dir /tmp/try
  DATABASE_URL=postgres://localhost/dev tasker dev --migrate --demo`;

/**
 * What differs from the configuration's defaults. An answer that is computed ahead about an empty database would be all that its
 * owner sees in the first minute, and there is nobody here whom it would spare a wait.
 */
const devDefaults = { "logging.level": "warn", "common.cache.warm_start": false } as const;

/** `tasker dev`: everything in one process. */
export function devCommand(context: CommandContext): Command {
  return new Command("dev")
    .description(
      "Runs everything in one process: a Postgres of its own (or the one of DATABASE_URL), the HTTP API, a worker, and a demo.",
    )
    .addOption(settingOption("--port <port>", "http.port", "where to listen; 0 takes a free port"))
    .addOption(settingOption("--host <host>", "http.host", "the address to listen on"))
    .addOption(settingOption("--data-dir <folder>", "embedded.data_dir", "the folder of the embedded Postgres"))
    .option("--tasks <module>", "a module that exports task definitions of yours, to register and run")
    .addOption(new Option("--demo", "run the demo (default: unless DATABASE_URL or --tasks is given)"))
    .addOption(new Option("--no-demo", "do not run the demo"))
    .option(
      "--migrate",
      "apply pending migrations to the database of DATABASE_URL (the embedded one always is migrated)",
    )
    .addOption(configOption())
    .addOption(logLevelOption("warn"))
    .addHelpText("after", examples)
    .action((_, command: Command) => dev(context, command.optsWithGlobals<DevOptions>()));
}

async function dev(context: CommandContext, options: DevOptions): Promise<void> {
  const { terminal } = context;
  const overrides = { "http.port": options.port, "http.host": options.host, "embedded.data_dir": options.dataDir };
  const { config, logger } = readSettings(context, options, overrides, devDefaults);
  const isEmbedded = config.database.url === "";
  if (!isEmbedded && options.dataDir !== undefined) {
    throw new CommandError(
      "a database is configured (DATABASE_URL), so there is no embedded Postgres for --data-dir: unset it, or leave --data-dir out",
      { exitCode: exitCodes.usage },
    );
  }
  const isCached = resolveCacheBackend(config).backend !== "none";
  const hasDemo = options.demo ?? (isEmbedded && options.tasks === undefined);
  const own = options.tasks === undefined ? [] : await importTasks(options.tasks);
  const definitions = hasDemo ? [...own, ...demoDefinitions] : own;
  const migrate = options.migrate === true;
  // On a laptop definitions change all the time; a shared database protects the tasks of others.
  const app = { config, logger, definitions, serve: true, work: true, migrate, allowGraphChange: isEmbedded };
  await runProcess(context, app, async ({ database, submitter, outcomes, http }, stop) => {
    const existing = await countTasks(database);
    if (existing > 0) terminal.print(`there are already ${plural(existing, "task")}`);
    terminal.print();
    if (!hasDemo) {
      terminal.print("Ctrl-C stops.");
      return;
    }
    await runDemo({
      submitter,
      outcomes,
      address: http?.address ?? "",
      firstNumber: existing + 1,
      terminal,
      clock: systemClock,
      stop,
      analyticsTtlSeconds: isCached ? config.common.cache.analyticsTtlSeconds : 0,
      logger,
    });
  });
}
