import { Command } from "commander";
import type { StepIdentity } from "../../analytics/step-detail.ts";
import { ageOf, ask, jsonOption, seriesHoursOption, urlOption } from "../analytics-options.ts";
import type { CommandContext } from "../context.ts";
import { stepLines } from "../step-lines.ts";

interface StepOptions {
  readonly url: string;
  readonly namespace: string;
  readonly taskName: string;
  readonly templateVersion: string;
  readonly stepName: string;
  readonly hours?: number;
  readonly json?: boolean;
}

const examples = `
Examples:
  tasker analytics step --namespace shop --task-name fulfil_order --template-version 1.0.0 --step-name ship`;

/** `tasker analytics step`: one step looked at closely. */
export function stepCommand({ terminal }: CommandContext): Command {
  return new Command("step")
    .description("Tells how long a step takes, how that went, and which tasks to look at.")
    .addOption(urlOption())
    .addOption(seriesHoursOption())
    .requiredOption("--namespace <name>", "the template's namespace")
    .requiredOption("--task-name <name>", "the template's name")
    .requiredOption("--template-version <version>", "the template's version")
    .requiredOption("--step-name <name>", "the step's name")
    .addOption(jsonOption())
    .addHelpText("after", examples)
    .action((options: StepOptions) => {
      const { namespace, taskName: task_name, templateVersion: version, stepName: step_name, hours } = options;
      const step: StepIdentity = { namespace, task_name, version, step_name };
      return ask(
        terminal,
        options,
        (client) => client.step(step, hours === undefined ? {} : { hours }),
        (answer) => [
          terminal.style("bold", `Step ${step_name} of ${namespace}/${task_name} ${version} ${ageOf(answer)}`),
          ...stepLines(answer.body),
        ],
      );
    });
}
