import { Command } from "commander";
import { ageOf, ask, hoursOption, jsonOption, urlOption } from "../analytics-options.ts";
import { compareLines } from "../compare-lines.ts";
import type { CommandContext } from "../context.ts";

interface CompareOptions {
  readonly url: string;
  readonly namespace: string;
  readonly taskName: string;
  readonly a: string;
  readonly b: string;
  readonly hours?: number;
  readonly json?: boolean;
}

const examples = `
Examples:
  tasker analytics compare --namespace shop --task-name fulfil_order --a 1.0.0 --b 1.1.0 --hours 48`;

/** `tasker analytics compare`: whether a version is slower, or fails more, than another. */
export function compareCommand({ terminal }: CommandContext): Command {
  return new Command("compare")
    .description("Tells whether a version of a template is slower, or fails more, than another.")
    .addOption(urlOption())
    .addOption(hoursOption())
    .requiredOption("--namespace <name>", "the template's namespace")
    .requiredOption("--task-name <name>", "the template's name")
    .requiredOption("--a <version>", "the version to compare with")
    .requiredOption("--b <version>", "the version to judge")
    .addOption(jsonOption())
    .addHelpText("after", examples)
    .action((options: CompareOptions) => {
      const { namespace, taskName: task_name, a, b, hours } = options;
      return ask(
        terminal,
        options,
        (client) => client.compare({ namespace, task_name, a, b, ...(hours === undefined ? {} : { hours }) }),
        (answer) => [
          terminal.style("bold", `${namespace}/${task_name}, ${b} against ${a} ${ageOf(answer)}`),
          ...compareLines(answer.body),
        ],
      );
    });
}
