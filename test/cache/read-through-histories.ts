import assert from "node:assert/strict";
import fc from "fast-check";
import { ComputeOverloadedError, ComputeTimeoutError } from "../../src/cache/errors.ts";
import type { Computed } from "../../src/cache/answer-producer.ts";
import type { Answer } from "../../src/cache/read-through.ts";
import { randomCases } from "../support/random.ts";
import { type ReadThroughSystem, readThroughSystem } from "./support.ts";

type Operation =
  | { readonly do: "read"; readonly key: string }
  | { readonly do: "succeed" | "fail"; readonly nth: number }
  | { readonly do: "advance"; readonly ms: number }
  | { readonly do: "breakCache" | "mendCache" };

const nth = fc.nat({ max: 5 });
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("read"), key: fc.constantFrom("a", "b", "c", "d", "e") }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("succeed"), nth }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("fail"), nth }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("advance"), ms: fc.integer({ min: 0, max: 3_000 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("breakCache", "mendCache") }) },
);

const ttlMs = 4_000;
const computeTimeoutMs = 5_000;
const computationsMax = 2;

interface Running {
  readonly key: string;
  readonly signal: AbortSignal;
  readonly succeed: () => void;
  readonly fail: () => void;
}

/** A read-through with a source that ends when told to, aborted or not, and numbers what it computes. */
class Bench {
  readonly #system: ReadThroughSystem;
  readonly #running = new Set<Running>();
  readonly #begunMs: number[] = [];
  readonly #newest = new Map<string, number>();
  #cacheEverBroke = false;
  #waiting = 0;
  /** What a reader met that it must not; readers run beside the test, which has to fail for them. */
  #problem: unknown;

  constructor(atHand: boolean) {
    this.#system = readThroughSystem({ computeTimeoutMs, computationsMax, waitingMax: 1 }, { atHand });
  }

  async play(step: Operation): Promise<void> {
    const { clock, provider, settle } = this.#system;
    const running = [...this.#running];
    if (step.do === "read") void this.#read(step.key);
    if (step.do === "succeed") running[step.nth % running.length]?.succeed();
    if (step.do === "fail") running[step.nth % running.length]?.fail();
    if (step.do === "advance") await clock.advance(step.ms);
    if (step.do === "mendCache") provider.broken.clear();
    if (step.do === "breakCache") {
      this.#cacheEverBroke = true;
      provider.broken.add("get").add("set");
    }
    await settle();
    this.#check();
  }

  /** Ends everything: nobody may be left waiting, and everything must work again. */
  async end(): Promise<void> {
    const { clock, provider, settle, readThrough } = this.#system;
    await clock.advance(computeTimeoutMs);
    assert.equal(this.#waiting, 0);
    for (const { succeed } of this.#running) succeed();
    await settle();
    assert.equal(this.#running.size, 0);
    provider.broken.clear();
    await clock.advance(ttlMs + computeTimeoutMs);
    assert.equal(clock.pending, 0);
    const compute = async (): Promise<Computed> => ({ body: "works", computedAt: "now" });
    for (const status of ["miss", "hit"]) {
      assert.equal((await readThrough.read("a", { ttlMs, compute })).status, status);
    }
  }

  async #read(key: string): Promise<void> {
    this.#waiting += 1;
    try {
      this.#checkAnswer(
        key,
        await this.#system.readThrough.read(key, { ttlMs, compute: (s) => this.#compute(key, s) }),
      );
    } catch (error) {
      const bounded = error instanceof ComputeTimeoutError || error instanceof ComputeOverloadedError;
      const failed = error instanceof Error && error.message === `no ${key}`;
      if (!bounded && !failed) this.#problem = error;
    } finally {
      this.#waiting -= 1;
    }
  }

  #compute(key: string, signal: AbortSignal): Promise<Computed> {
    const number = this.#begunMs.push(this.#system.clock.monotonicMs()) - 1;
    return new Promise((resolve, reject) => {
      const running: Running = {
        key,
        signal,
        succeed: () => this.#running.delete(running) && resolve({ body: `${key} ${number}`, computedAt: "now" }),
        fail: () => this.#running.delete(running) && reject(new Error(`no ${key}`)),
      };
      this.#running.add(running);
    });
  }

  #check(): void {
    assert.ifError(this.#problem);
    assert.ok(this.#running.size <= computationsMax, `${this.#running.size} computations at once`);
    const wanted = [...this.#running].filter(({ signal }) => !signal.aborted).map(({ key }) => key);
    assert.equal(new Set(wanted).size, wanted.length, `computed twice at once: ${wanted.join(", ")}`);
  }

  #checkAnswer(key: string, { body, ageMs, status }: Answer): void {
    const [ofKey, text] = body.toString().split(" ");
    const number = Number(text);
    assert.equal(ofKey, key);
    assert.equal(ageMs, this.#system.clock.monotonicMs() - (this.#begunMs[number] ?? Number.NaN));
    assert.ok(ageMs <= (status === "hit" ? ttlMs : computeTimeoutMs), `${status} is ${ageMs} ms old`);
    // Time does not run backwards for readers; only a write that was lost leaves an older answer in the cache.
    if (this.#cacheEverBroke) return;
    assert.ok(number >= (this.#newest.get(key) ?? 0), `${number} after ${this.#newest.get(key)}`);
    this.#newest.set(key, number);
  }
}

/** What a read-through promises, in so many random histories. `atHand`: its provider can be asked without waiting. */
export async function checkReadThroughHistories(atHand: boolean, cases: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 60, size: "max" }), async (history) => {
      const bench = new Bench(atHand);
      for (const step of history) await bench.play(step);
      await bench.end();
    }),
    randomCases(cases),
  );
}
