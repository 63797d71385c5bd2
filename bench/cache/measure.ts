import { sleep, systemClock } from "../../src/runtime/clock.ts";
import { benchText } from "./answer.ts";
import { type Ask, type Contender, keysMax } from "./contenders.ts";
import type { Rate, Wave, Waves } from "./protocol.ts";

const loadMs = 2;

/** Runs batches until they have taken so much time of the processor, all threads of the process together. */
export async function rateOf(cpuMs: number, batch: () => Promise<number>): Promise<Rate> {
  const beganMs = systemClock.monotonicMs();
  const began = process.cpuUsage();
  let done = 0;
  let usedMs: number;
  do {
    done += await batch();
    const { user, system } = process.cpuUsage(began);
    usedMs = (user + system) / 1000;
  } while (usedMs < cpuMs);
  return {
    perCpuSecond: (done / usedMs) * 1000,
    perSecond: (done / (systemClock.monotonicMs() - beganMs)) * 1000,
  };
}

/** A contender whose first keys are all there. */
export async function warm(contender: Contender): Promise<Ask> {
  const ask = contender.open((key) => Promise.resolve(benchText(key)));
  for (let key = 0; key < keysMax; key += 1) await ask(key);
  return ask;
}

/** Hits one after the other. A batch begins small: some contenders take a thousand times as long as others. */
export function hits(ask: Ask, keys: number, cpuMs: number): Promise<Rate> {
  let size = keys;
  return rateOf(cpuMs, async () => {
    const count = size;
    for (let index = 0; index < count; index += 1) await ask(index % keys);
    size = Math.min(2 * size, 10_000);
    return count;
  });
}

/** Two waves of callers of one key: on a cold cache, and at once after that. */
export async function misses(contender: Contender, callers: number, fails: boolean): Promise<Waves> {
  let loads = 0;
  const ask = contender.open(async (key) => {
    loads += 1;
    await sleep(systemClock, loadMs);
    if (fails) throw new Error("the source is away");
    return benchText(key);
  });
  const wave = async (): Promise<Wave> => {
    const before = loads;
    const beganMs = systemClock.monotonicMs();
    const results = await Promise.allSettled(Array.from({ length: callers }, async () => ask(0)));
    const values = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    const empty = values.filter((value) => value === undefined).length;
    return {
      loads: loads - before,
      answered: values.length - empty,
      failed: results.length - values.length,
      empty,
      ms: systemClock.monotonicMs() - beganMs,
    };
  };
  return { first: await wave(), second: await wave() };
}
