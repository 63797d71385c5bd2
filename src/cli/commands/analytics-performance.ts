import { Command } from "commander";
import { addAnalyticsOptions, type AnalyticsOptions, ask, filterOf, scopeOf } from "../analytics-options.ts";
import type { CommandContext } from "../context.ts";
import { performanceLines } from "../performance-lines.ts";

const examples = `
Examples:
  tasker analytics performance
  tasker analytics performance --hours 1 --namespace shop
  tasker analytics performance --json | jq .error_rate`;

/** `tasker analytics performance`: how much was done, how well and how fast. */
export function performanceCommand({ terminal }: CommandContext): Command {
  return addAnalyticsOptions(new Command("performance"))
    .description("Tells how much was done, how well and how fast.")
    .addHelpText("after", examples)
    .action((options: AnalyticsOptions) =>
      ask(
        terminal,
        options,
        (client) => client.performance(filterOf(options)),
        (answer) => [
          terminal.style("bold", `Performance: ${scopeOf(answer, options.hours)}`),
          ...performanceLines(answer.body),
        ],
      ),
    );
}
