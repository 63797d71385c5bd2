/** The value at a percentile by nearest rank (Postgres' `percentile_disc`): always one of the values. `percent` is a whole number. */
export function nearestRank(sorted: readonly number[], percent: number): number {
  // In whole numbers: 0.95 * n may come out a hair above the rank.
  const rank = Math.max(1, Math.ceil((percent * sorted.length) / 100));
  const value = sorted[rank - 1];
  if (value === undefined) throw new RangeError(`no percentile ${percent} of ${sorted.length} values`);
  return value;
}

/** The middle value; of an even number the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return (nearestRank(sorted, 50) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2;
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
