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
import { importTasks } from "../task-module.ts";

interface WorkerOptions extends SettingsOptions {
  readonly tasks: string;
  readonly concurrency?: string;
  readonly migrate?: boolean;
}

const examples = `
Examples:
  DATABASE_URL=postgres://localhost/tasker tasker worker --tasks ./dist/tasks.js
  tasker worker --tasks ./dist/tasks.js --concurrency 50 --config /etc/tasker/tasker.toml
  NODE_OPTIONS="--import tsx" tasker worker --tasks ./src/tasks.ts

The module exports what defineTask(...) gives: by name, or in an array as its default.`;

/** `tasker worker`: registers a module's templates and runs their steps. */
export function workerCommand(context: CommandContext): Command {
  return new Command("worker")
    .description("Registers the templates of a module and runs their steps, on the database of DATABASE_URL.")
    .requiredOption("--tasks <module>", "the module that exports the task definitions")
    .addOption(settingOption("--concurrency <steps>", "worker.concurrency", "steps that run at once"))
    .option("--migrate", "apply pending migrations; without it they are a reason not to start")
    .addOption(configOption())
    .addOption(logLevelOption())
    .addHelpText("after", examples)
    .action((_, command: Command) => work(context, command.optsWithGlobals<WorkerOptions>()));
}

async function work(context: CommandContext, options: WorkerOptions): Promise<void> {
  const settings = readSettings(context, options, { "worker.concurrency": options.concurrency });
  requireDatabase(settings.config, "tasker worker");
  const definitions = await importTasks(options.tasks);
  const app = { ...settings, definitions, work: true, migrate: options.migrate === true };
  await runProcess(context, app, () => context.terminal.print("running steps; Ctrl-C stops"));
}
