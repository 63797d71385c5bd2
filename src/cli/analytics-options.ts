import { type Command, InvalidArgumentError, Option } from "commander";
import { defaultBottlenecks, type PerformanceParameters, parameterRanges } from "../analytics/parameters.ts";
import { timeseriesHours } from "../analytics/timeseries-parameters.ts";
import { type AnalyticsAnswer, TaskerClient } from "../client/client.ts";
import { UnreachableError } from "../client/errors.ts";
import { CommandError } from "./command-error.ts";
import { duration } from "./format.ts";
import type { Terminal } from "./terminal.ts";

/** What both questions can be asked with. */
export interface AnalyticsOptions {
  readonly url: string;
  readonly hours?: number;
  readonly namespace?: string;
  readonly taskName?: string;
  readonly templateVersion?: string;
  readonly json?: boolean;
}

const urlByDefault = "http://127.0.0.1:8080";

/** Adds the options of {@link AnalyticsOptions}. */
export function addAnalyticsOptions(command: Command, hours = hoursOption()): Command {
  return command
    .addOption(urlOption())
    .addOption(hours)
    .option("--namespace <name>", "only the templates of this namespace")
    .option("--task-name <name>", "only the templates of this name")
    .option("--template-version <version>", "only this version of the templates")
    .addOption(jsonOption());
}

/** Names the server to ask. */
export function urlOption(): Option {
  return new Option("--url <url>", "where the API listens").default(urlByDefault).argParser(urlOf);
}

/** The window. */
export function hoursOption(): Option {
  return wholeNumberOption("--hours <hours>", "hours", "how far to look back; 0 is all history");
}

/** The window of an answer that has a time series in it, which cannot show all history. */
export function seriesHoursOption(): Option {
  return wholeNumberOption("--hours <hours>", "hours", "how far to look back", timeseriesHours.min);
}

export function jsonOption(): Option {
  return new Option("--json", "print the API's answer as it is");
}

/** A parameter of the API that is a whole number, checked before anything is asked. */
export function wholeNumberOption(
  flags: string,
  name: keyof typeof parameterRanges,
  description: string,
  min: number = parameterRanges[name].min,
): Option {
  const { max } = parameterRanges[name];
  return new Option(flags, `${description} (default: ${defaultBottlenecks[name]})`).argParser((text) => {
    const value = /^\d+$/u.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
    return value;
  });
}

/** The parameters that were given. */
export function filterOf(options: AnalyticsOptions): Partial<PerformanceParameters> {
  const { hours, namespace, taskName, templateVersion } = options;
  return {
    ...(hours === undefined ? {} : { hours }),
    namespace,
    task_name: taskName,
    version: templateVersion,
  };
}

/** Asks, and prints the answer: as it was sent, or as lines for people. */
export async function ask<Body>(
  terminal: Terminal,
  options: Pick<AnalyticsOptions, "url" | "json">,
  question: (client: TaskerClient) => Promise<AnalyticsAnswer<Body>>,
  lines: (answer: AnalyticsAnswer<Body>) => readonly string[],
): Promise<void> {
  const answer = await question(new TaskerClient({ baseUrl: options.url })).catch((error: unknown) => {
    if (!(error instanceof UnreachableError)) throw error;
    throw new CommandError(`${error.message}. Does Tasker run there (npm start, tasker serve)? --url asks elsewhere`, {
      cause: error,
    });
  });
  if (options.json === true) terminal.print(answer.text);
  else for (const line of lines(answer)) terminal.print(line);
}

/** What an answer is about and how old it is: `the last 24 h, shop fulfil_order (as of 12 s ago, from the cache)`. */
export function scopeOf(
  answer: AnalyticsAnswer<{ readonly filters: Partial<PerformanceParameters> }>,
  hours: number = defaultBottlenecks.hours,
): string {
  const { namespace, task_name, version } = answer.body.filters;
  const period = hours === 0 ? "all history" : `the last ${hours} h`;
  const names = [namespace, task_name, version].filter((name) => name !== undefined);
  const subject = names.length === 0 ? "all templates" : names.join(" ");
  return `${period}, ${subject} ${ageOf(answer)}`;
}

/** How old an answer is: `(as of 12 s ago, from the cache)`. */
export function ageOf({ age, cacheStatus }: Pick<AnalyticsAnswer<unknown>, "age" | "cacheStatus">): string {
  const isHit = /;\s*hit\b/u.test(cacheStatus);
  return `(${isHit ? `as of ${duration(age)} ago, from the cache` : "computed just now"})`;
}

function urlOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "http:" || url?.protocol === "https:") return text;
  throw new InvalidArgumentError("Expected a URL like http://127.0.0.1:8080.");
}
