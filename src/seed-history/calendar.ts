export const fiveMinutesUs = 300 * 1e6;
export const hourUs = 3600 * 1e6;
export const dayUs = 24 * hourUs;

/** An hour of the history and the tasks that are created in it. */
export interface HourLoad {
  readonly fromUs: number;
  readonly tasks: number;
  /** 0 in the quietest hour of the week, 1 in the busiest. */
  readonly load: number;
}

/** Spreads tasks over the hours up to `untilUs`: most in the afternoon (UTC), few at night and at weekends. */
export function* hourlyLoad(tasks: number, days: number, untilUs: number): Generator<HourLoad> {
  const hours = days * 24;
  const startUs = untilUs - hours * hourUs;
  const loads = Array.from({ length: hours }, (_, hour) => loadAt(startUs + hour * hourUs));
  const weights = loads.map((load) => 0.15 + load);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let sum = 0;
  let given = 0;
  for (const [hour, weight] of weights.entries()) {
    sum += weight;
    // The sum of the weights may miss their total by a rounding.
    const upTo = hour === hours - 1 ? tasks : Math.round((tasks * sum) / total);
    yield { fromUs: startUs + hour * hourUs, tasks: upTo - given, load: loads[hour] ?? 0 };
    given = upTo;
  }
}

function loadAt(us: number): number {
  const hourOfDay = (us / hourUs) % 24;
  // 1970-01-01 was a Thursday.
  const weekday = (Math.floor(us / dayUs) + 4) % 7;
  const isWeekend = weekday === 0 || weekday === 6;
  return (0.5 + 0.5 * Math.cos(((hourOfDay - 15) / 24) * 2 * Math.PI)) * (isWeekend ? 0.35 : 1);
}
