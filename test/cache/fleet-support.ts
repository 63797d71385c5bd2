import { ConstrainedCacheProvider } from "../../src/cache/constraints.ts";
import { FleetCacheOf } from "../../src/cache/fleet.ts";
import { MemoryCacheProvider } from "../../src/cache/providers/memory.ts";
import { type Answer, ReadThrough, type ReadOptions, type ReadThroughOptions } from "../../src/cache/read-through.ts";
import type { Clock } from "../../src/runtime/clock.ts";
import { ManualClock } from "../support/clock.ts";
import { MovedStore } from "./moved-store.ts";
import { type LogLine, RecordingMetrics, recordingLogger, Source } from "./support.ts";

/** One of several processes of a fleet, in this one. */
export interface FleetProcess {
  readonly read: (key?: string, options?: Partial<ReadOptions>) => Promise<Answer>;
  readonly metrics: RecordingMetrics;
  readonly lines: readonly LogLine[];
}

/** Several read-throughs, each with a memory and clocks of its own, that share a store and ask one source. */
export interface Fleet {
  readonly clock: ManualClock;
  readonly store: MovedStore;
  readonly source: Source;
  readonly processes: readonly FleetProcess[];
  /** The first of them. */
  readonly first: FleetProcess;
  readonly second: FleetProcess;
  readonly settle: () => Promise<void>;
  /** Reads in a process and lets the source answer, if it is asked. */
  readonly readNow: (process: FleetProcess, body: string, options?: Partial<ReadOptions>) => Promise<Answer>;
}

export const fleetFreshness = { ttlMs: 60_000, staleWhileRevalidateMs: 30_000, staleIfErrorMs: 3_600_000 };

/** Five minutes: what the clocks of two hosts may well be apart. */
const apartMs = 300_000;

export function fleet(options: Partial<ReadThroughOptions> = {}, count = 3): Fleet {
  const clock = new ManualClock();
  const store = new MovedStore(offset(clock, -apartMs));
  const source = new Source();
  const processes = Array.from({ length: count }, (_, index) => {
    const own = offset(clock, index * apartMs);
    const metrics = new RecordingMetrics();
    const { logger, lines } = recordingLogger();
    const about = { chosen: true, clock: own, logger, metrics };
    const memory = new MemoryCacheProvider({ entriesMax: 100, bytesMax: 10_000_000 }, own);
    const readThrough = new ReadThrough({
      cache: ConstrainedCacheProvider.create(memory, "analytics", about),
      fleet: FleetCacheOf.create(store, "analytics", about),
      resource: "performance",
      clock: own,
      metrics,
      logger,
      computeTimeoutMs: 10_000,
      random: () => 0.5,
      ...options,
    });
    const read = (key = "k", more: Partial<ReadOptions> = {}): Promise<Answer> =>
      readThrough.read(key, { ...fleetFreshness, compute: source.compute, ...more });
    return { read, metrics, lines };
  });
  const [first, second] = processes;
  if (first === undefined || second === undefined) throw new Error("a fleet has at least two processes");
  const settle = (): Promise<void> => clock.advance(0);
  const readNow = async (process: FleetProcess, body: string, more: Partial<ReadOptions> = {}): Promise<Answer> => {
    const { asked } = source;
    const answer = process.read("k", more);
    await settle();
    if (source.asked > asked) source.last.succeed(body);
    const answered = await answer;
    await settle();
    return answered;
  };
  return { clock, store, source, processes, first, second, settle, readNow };
}

/** The clocks of another host: they go alike, and show other times. */
function offset(clock: Clock, byMs: number): Clock {
  return {
    wallMs: () => clock.wallMs() + byMs,
    monotonicMs: () => clock.monotonicMs() + 7 * byMs,
    schedule: (delayMs, callback, options) => clock.schedule(delayMs, callback, options),
  };
}
