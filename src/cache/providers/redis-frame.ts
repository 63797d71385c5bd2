import type { Kept } from "../contract.ts";
import { backwardsMsMax } from "./redis-scripts.ts";

const lineFeed = 10;
const birthDigitsMax = 15;

/**
 * What `fill` wrote: the birth in milliseconds of redis' clock, a line feed, the value. Undefined for what it did not write, and
 * for what comes from the future: it is computed again. The value is a part of `framed` and no copy.
 */
export function keptOf(framed: Buffer, nowMs: number): Kept | undefined {
  const end = framed.indexOf(lineFeed);
  if (end < 1 || end > birthDigitsMax) return undefined;
  const born = framed.toString("latin1", 0, end);
  if (!/^\d+$/u.test(born)) return undefined;
  const bornMs = Number(born);
  if (nowMs - bornMs < -backwardsMsMax) return undefined;
  return { value: framed.subarray(end + 1), bornMs, ageMs: Math.max(0, nowMs - bornMs) };
}
