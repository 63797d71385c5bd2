/** How old an answer may be; all of it counts from the beginning of its computation. */
export interface Freshness {
  /** So long it is fresh. */
  readonly ttlMs: number;
  /** For so long after that it is sent all the same, while a new one is computed. Default 0. */
  readonly staleWhileRevalidateMs?: number;
  /** While the source fails it is sent until it is so old, if that is longer than the two above. Default 0. */
  readonly staleIfErrorMs?: number;
}

/** What an answer of this age is good for when the source works. */
export type Worth = "fresh" | "stale" | "nothing";

/** States by age: fresh until `ttlMs`, stale until `ttlMs + staleWhileRevalidateMs`, ends included; then worth nothing. */
export function worthOf(ageMs: number, { ttlMs, staleWhileRevalidateMs = 0 }: Freshness): Worth {
  if (ageMs <= ttlMs) return "fresh";
  return ageMs <= ttlMs + staleWhileRevalidateMs ? "stale" : "nothing";
}

/** The oldest an answer may become: what it is worth keeping for. */
export function keepMsOf({ ttlMs, staleWhileRevalidateMs = 0, staleIfErrorMs = 0 }: Freshness): number {
  return Math.max(ttlMs + staleWhileRevalidateMs, staleIfErrorMs);
}

/** The share of a time to live by which the ends of answers are spread. */
const spread = 0.1;

/**
 * How long one answer is kept: as {@link keepMsOf}, but up to a tenth less when nothing outlives its freshness. Such answers are not
 * refreshed ahead, and many that were computed at one moment (a dashboard of many filters) would end at one moment.
 *
 * @param random uniform in [0, 1)
 */
export function spreadKeepMs(freshness: Freshness, random: () => number): number {
  const keepMs = keepMsOf(freshness);
  return keepMs > freshness.ttlMs ? keepMs : keepMs * (1 - spread * random());
}

/**
 * Whether a reader of a fresh answer should have the next one computed already (XFetch: Vattani, Chierichetti, Lowenstein,
 * "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015, with beta 1). The dearer it is to compute and the nearer its end,
 * the likelier; each reader draws for itself. Only answers that may be stale have readers enough to be worth it.
 *
 * @param random uniform in [0, 1)
 */
export function isDueForRefresh(
  ageMs: number,
  computeMs: number,
  { ttlMs, staleWhileRevalidateMs = 0 }: Freshness,
  random: () => number,
): boolean {
  // Most readers are far from the end, where no draw makes a difference: they need not draw.
  if (staleWhileRevalidateMs <= 0 || ageMs + computeMs * drawMax < ttlMs) return false;
  return ageMs - computeMs * Math.log(1 - random()) > ttlMs;
}

/** Above -ln(2 ** -53), since random numbers are multiples of 2 ** -53. */
const drawMax = 37;
