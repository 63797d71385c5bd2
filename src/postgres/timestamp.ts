import { DecodingError } from "./decoding-error.ts";
import type { Timestamp } from "./sql.ts";

/** A timestamptz as Postgres prints it with DateStyle ISO, in whatever time zone the session has. */
const isoTimestamptz = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?$/u;

/**
 * Turns Postgres's text of a timestamptz into RFC 3339 UTC with exactly six fractional digits. `infinity` and `-infinity`
 * stay as they are. Works on the text: a `Date` would lose the microseconds.
 *
 * @throws DecodingError for years outside 0001 to 9999 (RFC 3339 cannot say them) and for a DateStyle other than ISO.
 */
export function decodeTimestamp(text: string): Timestamp {
  // The common case, and the only one on our own connections: "2026-11-22 17:04:19.123456+00", the fraction shortened.
  if (text.endsWith("+00") && text.charCodeAt(4) === 45 && text.charCodeAt(10) === 32) {
    if (text.length === 22) return `${text.slice(0, 10)}T${text.slice(11, 19)}.000000Z`;
    return `${text.slice(0, 10)}T${text.slice(11, -3).padEnd(15, "0")}Z`;
  }
  if (text === "infinity" || text === "-infinity") return text;
  return decodeWithOffset(text);
}

function decodeWithOffset(text: string): Timestamp {
  const [, day, time, fraction = "", sign, hours, minutes, seconds] = isoTimestamptz.exec(text) ?? [];
  const offsetMs = (Number(hours) * 3600 + Number(minutes ?? 0) * 60 + Number(seconds ?? 0)) * 1000;
  const utcMs = Date.parse(`${day}T${time}Z`) - (sign === "-" ? -offsetMs : offsetMs);
  // NaN when the pattern did not match; and the shift to UTC may leave the range of years too.
  const utc = Number.isNaN(utcMs) ? "" : new Date(utcMs).toISOString();
  if (!/^\d{4}-/u.test(utc)) {
    throw new DecodingError(
      "timestamp_not_readable",
      `expected a timestamptz between the years 1 and 9999 printed with DateStyle ISO, got ${JSON.stringify(text)}`,
    );
  }
  return `${utc.slice(0, 19)}.${fraction.padEnd(6, "0")}Z`;
}
