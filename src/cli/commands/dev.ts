import { Command, Option } from "commander";
import { type App, startApp } from "../../app.ts";
import { systemClock } from "../../runtime/clock.ts";
import { CommandError, exitCodes } from "../command-error.ts";
import type { CommandContext } from "../context.ts";
import { runDemo } from "../demo/run-demo.ts";
import { demoDefinitions } from "../demo/workload.ts";
import { configOption, logLevelOption, readSettings, type SettingsOptions, settingOption } from "../settings.ts";
import { startReport } from "../start-report.ts";
import { untilStopped } from "../stopping.ts";
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
    .option("--migrate", "apply pending migrations to the database of DATABASE_URL (the embedded one always is migrated)")
    .addOption(configOption())
    .addOption(logLevelOption("warn"))
    .addHelpText("after", examples)
    .action((_, command: Command) => dev(context, command.optsWithGlobals<DevOptions>()));
}

async function dev(context: CommandContext, options: DevOptions): Promise<void> {
  const { terminal } = context;
  const { config, logger } = readSettings(context, options, {
    "http.port": options.port,
    "http.host": options.host,
    "embedded.data_dir": options.dataDir,
  }, "warn");
  const { url } = config.database;
  if (url !== "" && options.dataDir !== undefined) {
    throw new CommandError(
      "a database is configured (DATABASE_URL), so there is no embedded Postgres for --data-dir: unset it, or leave --data-dir out",
      { exitCode: exitCodes.usage },
    );
  }
  const demo = options.demo ?? (url === "" && options.tasks === undefined);
  const own = options.tasks === undefined ? [] : await importTasks(options.tasks);
  await untilStopped(terminal, async (stop) => {
    const app = await startApp({
      config,
      logger,
      definitions: demo ? [...own, ...demoDefinitions] : own,
      serve: true,
      work: true,
      migrate: options.migrate === true,
      // On a laptop definitions change all the time; a shared database protects the tasks of others.
      allowGraphChange: url === "",
      onProgress: startReport(terminal, systemClock, url === "" ? config.embedded.dataDir : hostOf(url)),
    });
    try {
      if (demo && !stop.signal.aborted) {
        const { analyticsTtlSeconds } = config.common.cache;
        await runDemo({ app, address: addressOf(app), terminal, clock: systemClock, stop, analyticsTtlSeconds, logger });
      } else if (!stop.signal.aborted) terminal.print("Ctrl-C stops");
      await stop.requested;
    } finally {
      terminal.live("");
      terminal.print("stopping: steps that run may finish (Ctrl-C again ends at once)");
      await app.stop();
    }
    terminal.print(url === "" ? `stopped; your data is in ${config.embedded.dataDir}, start again to go on` : "stopped");
  });
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : "the configured database";
}

function addressOf({ http }: App): string {
  if (http?.address === undefined) throw new Error("the HTTP API does not listen");
  return http.address;
}
