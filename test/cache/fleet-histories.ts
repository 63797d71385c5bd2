import assert from "node:assert/strict";
import fc from "fast-check";
import type { Computed } from "../../src/cache/answer-producer.ts";
import { ComputeFailedElsewhereError, ComputeOverloadedError, ComputeTimeoutError } from "../../src/cache/errors.ts";
import type { Answer } from "../../src/cache/read-through.ts";
import { randomCases } from "../support/random.ts";
import { fleet } from "./fleet-support.ts";

type Operation =
  | { readonly do: "read"; readonly process: number; readonly key: string }
  | { readonly do: "succeed" | "fail"; readonly nth: number }
  | { readonly do: "advance"; readonly ms: number }
  | { readonly do: "loseStore" | "mendStore" | "clearStore" };

const nth = fc.nat({ max: 5 });
const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant("read"), process: fc.nat({ max: 2 }), key: fc.constantFrom("a", "b") }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("succeed"), nth }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("fail"), nth }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("advance"), ms: fc.integer({ min: 0, max: 500 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("advance"), ms: fc.integer({ min: 0, max: 5_000 }) }) },
);
const outage = fc.record({ do: fc.constantFrom("loseStore", "mendStore", "clearStore") });
const withOutages: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 9, arbitrary: operation },
  { weight: 1, arbitrary: outage },
);

const freshness = { ttlMs: 4_000, staleWhileRevalidateMs: 2_000, staleIfErrorMs: 20_000 };
const computeTimeoutMs = 5_000;
/** A pause can be met twice: by a process that learns of it from the store at its end. */
const failurePauseMs = 1_000;

interface Running {
  readonly key: string;
  readonly signal: AbortSignal;
  readonly succeed: () => void;
  readonly fail: () => void;
}

/** Three processes, one source that ends when told to and numbers what it computes, and what must hold at any time. */
class Bench {
  readonly #fleet = fleet({ computeTimeoutMs, failurePauseMs, leaseWaitMs: 2 * computeTimeoutMs, random: Math.random });
  readonly #running = new Set<Running>();
  readonly #begunMs: number[] = [];
  readonly #failedMs = new Map<string, number>();
  /** When processes were asked, by process and key: each may have begun a wait for a computation of another process. */
  readonly #askedMs = new Map<string, number[]>();
  #storeWasLost = false;
  #waiting = 0;
  #problem: unknown;

  async play(step: Operation): Promise<void> {
    const { clock, store, settle } = this.#fleet;
    const running = [...this.#running];
    if (step.do === "read") void this.#read(step.process, step.key);
    if (step.do === "succeed") running[step.nth % running.length]?.succeed();
    if (step.do === "fail") running[step.nth % running.length]?.fail();
    if (step.do === "advance") await clock.advance(step.ms);
    if (step.do === "mendStore") store.away = false;
    if (step.do === "clearStore") store.clear();
    if (step.do === "loseStore") store.away = true;
    this.#storeWasLost ||= step.do === "loseStore" || step.do === "clearStore";
    await settle();
    this.#check();
  }

  /** Ends everything: nobody may be left waiting, and one computation must serve all again. */
  async end(): Promise<void> {
    const { clock, store, settle, processes } = this.#fleet;
    await clock.advance(2 * computeTimeoutMs);
    assert.equal(this.#waiting, 0);
    for (const { succeed } of this.#running) succeed();
    await settle();
    store.away = false;
    await clock.advance(computeTimeoutMs + 2 * failurePauseMs + freshness.staleIfErrorMs);
    let computed = 0;
    const compute = async (): Promise<Computed> => ({ body: String((computed += 1)), computedAt: "now" });
    const answers = Promise.all(processes.map(({ read }) => read("a", { ...freshness, compute })));
    await clock.advance(200);
    assert.deepEqual(
      (await answers).map(({ body }) => body.toString()),
      ["1", "1", "1"],
    );
    await clock.advance(computeTimeoutMs);
    assert.equal(clock.pending, 0);
  }

  async #read(process: number, key: string): Promise<void> {
    this.#waiting += 1;
    const asker = `${process} ${key}`;
    this.#askedMs.set(asker, [...(this.#askedMs.get(asker) ?? []), this.#nowMs]);
    try {
      const options = { ...freshness, compute: (signal: AbortSignal) => this.#compute(key, signal) };
      const answer = this.#fleet.processes[process]?.read(key, options);
      if (answer !== undefined) this.#checkAnswer(process, key, await answer);
    } catch (error) {
      const isBounded =
        error instanceof ComputeTimeoutError ||
        error instanceof ComputeOverloadedError ||
        error instanceof ComputeFailedElsewhereError;
      if (!isBounded && !(error instanceof Error && error.message === `no ${key}`)) this.#problem = error;
    } finally {
      this.#waiting -= 1;
    }
  }

  #compute(key: string, signal: AbortSignal): Promise<Computed> {
    const number = this.#begunMs.push(this.#nowMs) - 1;
    signal.addEventListener("abort", () => this.#failedMs.set(key, this.#nowMs));
    return new Promise((resolve, reject) => {
      const running: Running = {
        key,
        signal,
        succeed: () => this.#running.delete(running) && resolve({ body: `${key} ${number}`, computedAt: "now" }),
        fail: () => {
          if (!this.#running.delete(running)) return;
          this.#failedMs.set(key, this.#nowMs);
          reject(new Error(`no ${key}`));
        },
      };
      this.#running.add(running);
    });
  }

  get #nowMs(): number {
    return this.#fleet.clock.monotonicMs();
  }

  #check(): void {
    assert.ifError(this.#problem);
    if (this.#storeWasLost) return;
    const wanted = [...this.#running].filter(({ signal }) => !signal.aborted).map(({ key }) => key);
    assert.equal(new Set(wanted).size, wanted.length, `computed twice at once: ${wanted.join(", ")}`);
  }

  #checkAnswer(process: number, key: string, { body, ageMs, status, staleIfError }: Answer): void {
    const { ttlMs, staleWhileRevalidateMs, staleIfErrorMs } = freshness;
    const [ofKey, number] = body.toString().split(" ");
    assert.equal(ofKey, key);
    const trueAgeMs = this.#nowMs - (this.#begunMs[Number(number)] ?? Number.NaN);
    // Ages pass through the clocks of two hosts as fractions.
    assert.ok(ageMs >= trueAgeMs - 0.001, `says ${ageMs} ms, is ${trueAgeMs} ms old`);
    if (staleIfError) {
      assert.ok(ageMs <= staleIfErrorMs, `${ageMs} ms, although the source fails`);
      const sinceMs = this.#nowMs - (this.#failedMs.get(key) ?? Number.NaN);
      const hasFailed = sinceMs <= 2 * failurePauseMs + computeTimeoutMs || this.#hasWaitedInVain(process, key);
      assert.ok(hasFailed, `the source failed ${sinceMs} ms ago`);
    } else {
      const bounds = { hit: ttlMs, stale: ttlMs + staleWhileRevalidateMs };
      const boundMs = status === "hit" || status === "stale" ? bounds[status] : ttlMs + computeTimeoutMs;
      assert.ok(ageMs <= boundMs, `${status} is ${ageMs} ms old`);
    }
  }

  /** Whether a wait of this process that began when it was asked has timed out, and that failure still stands. */
  #hasWaitedInVain(process: number, key: string): boolean {
    return (this.#askedMs.get(`${process} ${key}`) ?? []).some((askedMs) => {
      const waitedMs = this.#nowMs - askedMs;
      return waitedMs >= computeTimeoutMs - 0.001 && waitedMs <= computeTimeoutMs + failurePauseMs + 0.001;
    });
  }
}

/** What a fleet promises, in so many random histories of three processes. */
export async function checkFleetHistories(outages: boolean, cases: number): Promise<void> {
  const histories = fc.array(outages ? withOutages : operation, { maxLength: 60, size: "max" });
  await fc.assert(
    fc.asyncProperty(histories, async (history) => {
      const bench = new Bench();
      for (const step of history) await bench.play(step);
      await bench.end();
    }),
    randomCases(cases),
  );
}

export const fleetHistories = [
  ["no computation is doubled in the fleet, no age understated, no bound exceeded, and nobody left waiting", false],
  ["with a store that is lost, cleared and back, ages and bounds hold, and nobody is left waiting", true],
] as const;
