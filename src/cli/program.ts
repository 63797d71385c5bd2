import { Command } from "commander";
import { version } from "../config/version.ts";
import { analyticsCommand } from "./commands/analytics.ts";
import { configCommand } from "./commands/config.ts";
import { devCommand } from "./commands/dev.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { migrateCommand } from "./commands/migrate.ts";
import { seedHistoryCommand } from "./commands/seed-history.ts";
import { serveCommand } from "./commands/serve.ts";
import { workerCommand } from "./commands/worker.ts";
import type { CommandContext } from "./context.ts";

const examples = `
Examples:
  tasker dev                           everything on this machine, with a demo
  tasker analytics bottlenecks         what is slow

"tasker <command> --help" shows the options and examples of a command.`;

/** The whole command line. */
export function createProgram(context: CommandContext): Command {
  const { terminal } = context;
  const program = new Command("tasker")
    .description("Workflow orchestration on Postgres, with analytics.")
    .version(version, "--version", "print the version")
    .option("--debug", "log everything, and show the stack of an error")
    .addHelpText("after", examples);
  const commands = [
    devCommand,
    serveCommand,
    workerCommand,
    migrateCommand,
    analyticsCommand,
    seedHistoryCommand,
    doctorCommand,
    configCommand,
  ];
  for (const create of commands) program.addCommand(create(context));
  for (const command of everyCommand(program)) {
    command
      .helpOption("--help", "show this help")
      .helpCommand(false)
      .configureHelp({ showGlobalOptions: true })
      .exitOverride()
      .showSuggestionAfterError(true)
      .allowExcessArguments(false)
      .configureOutput({
        writeOut: (text) => terminal.write(text),
        writeErr: (text) => terminal.writeError(text),
        outputError: (text, write) => write(text),
      });
  }
  return program;
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}
