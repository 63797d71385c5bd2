// What the measuring processes are asked, and what they answer.

export type Request =
  /** Hits one after the other over the first `keys` keys, for so much time of the processor. */
  | { readonly do: "hits"; readonly keys: number; readonly cpuMs: number }
  /** So many callers at once on a cold key, then as many again. */
  | { readonly do: "misses"; readonly callers: number; readonly fails: boolean }
  /** Reads of a redis, `inFlight` at any time, for so much time of the processor. */
  | { readonly do: "reads"; readonly inFlight: number; readonly cpuMs: number };

/** How much was done in how much time. */
export interface Rate {
  readonly perCpuSecond: number;
  readonly perSecond: number;
}

/** What became of a wave of callers. */
export interface Wave {
  /** How often the source was asked. */
  readonly loads: number;
  readonly answered: number;
  /** Callers that got the loader's error. */
  readonly failed: number;
  /** Callers that got undefined. */
  readonly empty: number;
  readonly ms: number;
}

export interface Waves {
  readonly first: Wave;
  readonly second: Wave;
}
