/** What stands in place of a number that nothing is behind. */
export const nothing = "-";

/** A duration for people, three digits at most: `0 ms`, `12.3 ms`, `1.24 s`, `3 m 20 s`, `5 h 10 m`, `2 d 3 h`. */
export function duration(seconds: number | null): string {
  if (seconds === null) return nothing;
  if (seconds < 0.9995) return `${digits(seconds * 1000)} ms`;
  if (seconds < 99.95) return `${digits(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${whole % 60} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} m`;
  const hours = Math.round(minutes / 60);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A share of 0 to 1 in percent: `12.3 %`. */
export function percent(share: number | null): string {
  return share === null ? nothing : `${digits(share * 100)} %`;
}

/** A whole number with its thousands apart: `12,345`. */
export function count(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 1 });
}

/** `1 task`, `2 tasks`. */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** Three significant digits at most, none behind the point from 100 on. */
function digits(value: number): string {
  return String(Number(value >= 100 ? value.toFixed(0) : value.toPrecision(3)));
}
