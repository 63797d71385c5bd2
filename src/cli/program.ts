import { Command } from "commander";
import { version } from "../app.ts";
import { devCommand } from "./commands/dev.ts";
import type { CommandContext } from "./context.ts";

/** The whole command line. */
export function createProgram(context: CommandContext): Command {
  const { terminal } = context;
  const program = new Command("tasker")
    .description("Workflow orchestration on Postgres, with analytics.")
    .version(version, "--version", "print the version")
    .option("--debug", "log everything, and show the stack of an error")
    .helpOption("--help", "show this help")
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true })
    .addHelpText("after", `\nSee "tasker <command> --help" for the options and examples of a command.`);
  for (const command of [devCommand(context)]) {
    program.addCommand(command);
  }
  for (const command of everyCommand(program)) {
    command
      .helpOption("--help", "show this help")
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
