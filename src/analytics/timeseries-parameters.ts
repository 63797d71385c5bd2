import { type AnalyticsFilter, InvalidParameterError } from "./parameters.ts";

/** How long a point of a time series is; `auto` chooses by the length of the window. */
export const timeseriesBuckets = ["auto", "minute", "5m", "hour", "day"] as const;
export type TimeseriesBucket = (typeof timeseriesBuckets)[number];

/** A bucket that has been chosen. */
export type FixedBucket = Exclude<TimeseriesBucket, "auto">;

export interface TimeseriesParameters extends AnalyticsFilter {
  /** Back from now. A series of all history would have no bound: there is no 0. */
  readonly hours: number;
  readonly bucket: TimeseriesBucket;
  /** Restricts the figures of steps; those of tasks are the templates'. */
  readonly step_name?: string | undefined;
}

/** No answer has more points. */
export const timeseriesPointsMax = 500;

/** Both ends included. */
export const timeseriesHours = Object.freeze({ min: 1, max: 8760 });

export const defaultTimeseries: TimeseriesParameters = Object.freeze({ hours: 24, bucket: "auto" });

const minutesOf: Readonly<Record<FixedBucket, number>> = { minute: 1, "5m": 5, hour: 60, day: 1440 };

/** The longest window, in hours, that `auto` shows in these buckets; longer ones in days. */
const autoHoursMax = { minute: 3, "5m": 12, hour: 240 } as const;

/** The bucket that `auto` stands for, so that both ways to ask for it are the same question. */
export function chosenBucket({ hours, bucket }: Pick<TimeseriesParameters, "hours" | "bucket">): FixedBucket {
  if (bucket !== "auto") return bucket;
  const fitting = (["minute", "5m", "hour"] as const).find((one) => hours <= autoHoursMax[one]);
  return fitting ?? "day";
}

/** The longest window of a bucket. A window touches one bucket more than it is long, since it may begin within one. */
export function timeseriesHoursMax(bucket: FixedBucket): number {
  const hours = Math.floor(((timeseriesPointsMax - 1) * minutesOf[bucket]) / 60);
  return Math.min(hours, timeseriesHours.max);
}

/** @throws InvalidParameterError */
export function checkHoursOfSeries(hours: number): void {
  const { min, max } = timeseriesHours;
  if (Number.isInteger(hours) && hours >= min && hours <= max) return;
  throw new InvalidParameterError(`hours must be a whole number from ${min} to ${max}, got ${hours}`);
}

/** @throws InvalidParameterError */
export function checkTimeseries({ hours, bucket }: TimeseriesParameters): void {
  checkHoursOfSeries(hours);
  if (!timeseriesBuckets.includes(bucket)) {
    throw new InvalidParameterError(`bucket must be one of ${timeseriesBuckets.join(", ")}, got ${bucket}`);
  }
  const chosen = chosenBucket({ hours, bucket });
  const hoursMax = timeseriesHoursMax(chosen);
  if (hours <= hoursMax) return;
  throw new InvalidParameterError(
    `hours must be a whole number from ${timeseriesHours.min} to ${hoursMax} with bucket=${chosen}, got ${hours}: ` +
      `a series has at most ${timeseriesPointsMax} points`,
  );
}
