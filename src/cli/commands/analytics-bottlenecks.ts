import { Command, Option } from "commander";
import { type BottleneckSort, bottleneckSorts, defaultBottlenecks } from "../../analytics/parameters.ts";
import {
  addAnalyticsOptions,
  type AnalyticsOptions,
  ask,
  filterOf,
  scopeOf,
  wholeNumberOption,
} from "../analytics-options.ts";
import { bottleneckLines } from "../bottleneck-lines.ts";
import type { CommandContext } from "../context.ts";

interface BottlenecksOptions extends AnalyticsOptions {
  readonly limit?: number;
  readonly minExecutions?: number;
  readonly sort?: BottleneckSort;
}

const examples = `
Examples:
  tasker analytics bottlenecks
  tasker analytics bottlenecks --hours 1 --min-executions 1 --sort p95_duration
  tasker analytics bottlenecks --json | jq -r '.recommendations[]'`;

/** `tasker analytics bottlenecks`: which steps and tasks are slow or fail. */
export function bottlenecksCommand({ terminal }: CommandContext): Command {
  return addAnalyticsOptions(new Command("bottlenecks"))
    .description("Tells which steps and tasks are slow or fail, and what to do about it.")
    .addOption(wholeNumberOption("--limit <rows>", "limit", "steps, and tasks, at most"))
    .addOption(wholeNumberOption("--min-executions <count>", "min_executions", "leave out what ran less often"))
    .addOption(
      new Option("--sort <figure>", `what comes first (default: ${defaultBottlenecks.sort})`).choices(bottleneckSorts),
    )
    .addHelpText("after", examples)
    .action((options: BottlenecksOptions) =>
      ask(
        terminal,
        options,
        (client) =>
          client.bottlenecks({
            ...filterOf(options),
            ...(options.limit === undefined ? {} : { limit: options.limit }),
            ...(options.minExecutions === undefined ? {} : { min_executions: options.minExecutions }),
            ...(options.sort === undefined ? {} : { sort: options.sort }),
          }),
        (answer) => [
          terminal.style("bold", `Bottlenecks: ${scopeOf(answer, options.hours)}`),
          ...bottleneckLines(answer.body),
        ],
      ),
    );
}
