import { Command, Option } from "commander";
import { defaultTimeseries, type TimeseriesBucket, timeseriesBuckets } from "../../analytics/timeseries-parameters.ts";
import {
  addAnalyticsOptions,
  type AnalyticsOptions,
  ask,
  filterOf,
  scopeOf,
  seriesHoursOption,
} from "../analytics-options.ts";
import type { CommandContext } from "../context.ts";
import { timeseriesLines } from "../timeseries-lines.ts";

interface TimeseriesOptions extends AnalyticsOptions {
  readonly bucket?: TimeseriesBucket;
  readonly stepName?: string;
}

const examples = `
Examples:
  tasker analytics timeseries
  tasker analytics timeseries --hours 168 --bucket day --namespace shop
  tasker analytics timeseries --json | jq -r '.points[] | [.bucket_start, .error_rate] | @tsv'`;

/** `tasker analytics timeseries`: how the figures went. */
export function timeseriesCommand({ terminal }: CommandContext): Command {
  return addAnalyticsOptions(new Command("timeseries"), seriesHoursOption())
    .description("Tells how the figures went, bucket by bucket.")
    .addOption(
      new Option("--bucket <length>", `how long a line is (default: ${defaultTimeseries.bucket})`).choices(
        timeseriesBuckets,
      ),
    )
    .option("--step-name <name>", "only steps of this name")
    .addHelpText("after", examples)
    .action((options: TimeseriesOptions) =>
      ask(
        terminal,
        options,
        (client) =>
          client.timeseries({
            ...filterOf(options),
            ...(options.bucket === undefined ? {} : { bucket: options.bucket }),
            step_name: options.stepName,
          }),
        (answer) => [
          terminal.style("bold", `Time series: ${scopeOf(answer, options.hours)}`),
          ...timeseriesLines(answer.body),
        ],
      ),
    );
}
