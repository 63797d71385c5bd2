import { Command } from "commander";
import { ask, ageOf, jsonOption, urlOption } from "../analytics-options.ts";
import { backlogLines } from "../backlog-lines.ts";
import type { CommandContext } from "../context.ts";

interface BacklogOptions {
  readonly url: string;
  readonly namespace?: string;
  readonly json?: boolean;
}

const examples = `
Examples:
  tasker analytics backlog
  tasker analytics backlog --json | jq '.namespaces[] | select(.drain_seconds > 60)'`;

/** `tasker analytics backlog`: what waits for workers. */
export function backlogCommand({ terminal }: CommandContext): Command {
  return new Command("backlog")
    .description("Tells what waits for workers, namespace by namespace.")
    .addOption(urlOption())
    .option("--namespace <name>", "only this namespace")
    .addOption(jsonOption())
    .addHelpText("after", examples)
    .action((options: BacklogOptions) =>
      ask(
        terminal,
        options,
        (client) => client.backlog({ namespace: options.namespace }),
        (answer) => [terminal.style("bold", `Backlog ${ageOf(answer)}`), ...backlogLines(answer.body)],
      ),
    );
}
