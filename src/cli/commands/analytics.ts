import { Command } from "commander";
import type { CommandContext } from "../context.ts";
import { backlogCommand } from "./analytics-backlog.ts";
import { bottlenecksCommand } from "./analytics-bottlenecks.ts";
import { compareCommand } from "./analytics-compare.ts";
import { performanceCommand } from "./analytics-performance.ts";
import { stepCommand } from "./analytics-step.ts";
import { timeseriesCommand } from "./analytics-timeseries.ts";

const examples = `
Examples:
  tasker analytics performance         how much was done, how well and how fast
  tasker analytics bottlenecks         which steps and tasks are slow or fail
  tasker analytics timeseries          how the figures went
  tasker analytics backlog             what waits for workers
  tasker analytics step                one step looked at closely
  tasker analytics compare             one version of a template against another`;

/** `tasker analytics`: what a running server says of its work. */
export function analyticsCommand(context: CommandContext): Command {
  return new Command("analytics")
    .description("Asks a running server how its tasks do.")
    .addCommand(performanceCommand(context))
    .addCommand(bottlenecksCommand(context))
    .addCommand(timeseriesCommand(context))
    .addCommand(backlogCommand(context))
    .addCommand(stepCommand(context))
    .addCommand(compareCommand(context))
    .addHelpText("after", examples);
}
