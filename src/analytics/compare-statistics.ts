// Whether two samples differ by more than chance explains. Nothing is assumed of how durations are distributed, only that one
// does not depend on another: runs that were slow together (an outage) look like more evidence than they are.

/** A bucket of a histogram: `count` durations above `from_seconds` up to `to_seconds`, for which `value_seconds` stands. */
export interface CountedBucket {
  readonly from_seconds: number;
  readonly to_seconds: number;
  readonly value_seconds: number;
  readonly count: number;
}

/** An estimate and the interval that holds the true value with the confidence asked for. */
export interface Interval {
  readonly low: number;
  readonly estimate: number;
  readonly high: number;
}

/**
 * The quantile `q` (0 to 1) of the standard normal distribution, to 4.5e-4: Abramowitz, Stegun, "Handbook of Mathematical
 * Functions", 26.2.23.
 */
export function normalQuantile(q: number): number {
  if (q < 0.5) return -normalQuantile(1 - q);
  const t = Math.sqrt(-2 * Math.log(1 - q));
  const above = 2.515517 + t * (0.802853 + t * 0.010328);
  const below = 1 + t * (1.432788 + t * (0.189269 + t * 0.001308));
  return t - above / below;
}

/** How many standard deviations an interval of this confidence reaches to either side. */
export function standardDeviations(confidence: number): number {
  return normalQuantile(1 - (1 - confidence) / 2);
}

/**
 * The share of `part` in `whole` with its score interval: Wilson, "Probable Inference, the Law of Succession, and Statistical
 * Inference", JASA 1927. Right for shares near 0 and 1 too.
 */
export function shareInterval(part: number, whole: number, z: number): Interval {
  const share = part / whole;
  const middle = share + (z * z) / (2 * whole);
  const spread = z * Math.sqrt((share * (1 - share)) / whole + (z * z) / (4 * whole * whole));
  const by = 1 + (z * z) / whole;
  return { low: Math.max(0, (middle - spread) / by), estimate: share, high: Math.min(1, (middle + spread) / by) };
}

/**
 * The quantile `q` of the durations in a histogram (shortest first), by nearest rank, between two order statistics: Conover,
 * "Practical Nonparametric Statistics", 3rd edition, section 3.2. An order statistic is known as its bucket only, so the
 * interval reaches from the lower bound of the one to the upper bound of the other: the buckets' error of 1 % is in it.
 *
 * @returns undefined when the sample is too small to have these order statistics
 */
export function quantileInterval(buckets: readonly CountedBucket[], q: number, z: number): Interval | undefined {
  const size = buckets.reduce((sum, bucket) => sum + bucket.count, 0);
  const spread = z * Math.sqrt(size * q * (1 - q));
  const lowRank = Math.ceil(size * q - spread);
  const highRank = Math.ceil(size * q + spread);
  if (lowRank < 1 || highRank > size) return undefined;
  const low = bucketOf(buckets, lowRank);
  const middle = bucketOf(buckets, Math.max(1, Math.ceil(size * q)));
  const high = bucketOf(buckets, highRank);
  if (low === undefined || middle === undefined || high === undefined) return undefined;
  return { low: low.from_seconds, estimate: middle.value_seconds, high: high.to_seconds };
}

/** The bucket in which the duration of this rank lies; ranks count from 1. */
function bucketOf(buckets: readonly CountedBucket[], rank: number): CountedBucket | undefined {
  let upTo = 0;
  return buckets.find((bucket) => (upTo += bucket.count) >= rank);
}

/**
 * The interval of `b - a`, from those of the two: Zou, Donner, "Construction of confidence limits about effect measures",
 * Statistics in Medicine 2008. For two shares it is method 10 of Newcombe, "Interval estimation for the difference between
 * independent proportions", Statistics in Medicine 1998.
 */
export function differenceInterval(a: Interval, b: Interval): Interval {
  const estimate = b.estimate - a.estimate;
  return {
    low: estimate - Math.hypot(b.estimate - b.low, a.high - a.estimate),
    estimate,
    high: estimate + Math.hypot(b.high - b.estimate, a.estimate - a.low),
  };
}

/** No duration is measured more finely. */
const shortestSeconds = 1e-6;

/** The interval of `b / a`: that of the difference of their logarithms. */
export function ratioInterval(a: Interval, b: Interval): Interval {
  const { low, estimate, high } = differenceInterval(logarithm(a), logarithm(b));
  return { low: Math.exp(low), estimate: Math.exp(estimate), high: Math.exp(high) };
}

function logarithm({ low, estimate, high }: Interval): Interval {
  const log = (seconds: number): number => Math.log(Math.max(shortestSeconds, seconds));
  return { low: log(low), estimate: log(estimate), high: log(high) };
}
