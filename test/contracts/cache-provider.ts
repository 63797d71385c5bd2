import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { CacheProvider, CacheReach } from "../../src/cache/contract.ts";
import { randomCases } from "../support/random.ts";

/** An open, empty provider and the means to let time pass for it. */
export interface CacheProviderUnderTest {
  readonly provider: CacheProvider;
  readonly advance: (ms: number) => Promise<void>;
}

export interface CacheProviderContract {
  readonly name: string;
  readonly reach: CacheReach;
  /** Whether it keeps what it is given; one that does not must miss in every test. */
  readonly keeps: boolean;
  readonly open: () => Promise<CacheProviderUnderTest>;
}

/** The promises of `CacheProvider` (src/cache/contract.ts) as tests, for each provider to pass. */
export function describeCacheProvider({ name, reach, keeps, open }: CacheProviderContract): void {
  const kept = (value: string): string | undefined => (keeps ? value : undefined);

  /** Opens a provider for one test and closes it afterwards. */
  const promise = (title: string, body: (system: CacheProviderUnderTest) => Promise<void>): void => {
    test(title, async () => {
      const system = await open();
      try {
        await body(system);
      } finally {
        await system.provider.close();
      }
    });
  };

  describe(`the cache provider ${name}`, () => {
    promise("says who it is", async ({ provider }) => {
      assert.equal(provider.name, name);
      assert.equal(provider.reach, reach);
    });

    promise("misses what was never set", async ({ provider }) => {
      assert.equal(await provider.get("a"), undefined);
      assert.equal(await provider.get("__proto__"), undefined);
      await provider.delete("a");
    });

    promise("returns what was set last", async ({ provider }) => {
      await provider.set("a", "1", 1_000);
      await provider.set("b", "2", 1_000);
      await provider.set("a", "3", 1_000);
      assert.equal(await provider.get("a"), kept("3"));
      assert.equal(await provider.get("b"), kept("2"));
    });

    promise("has at hand, if anything, what is read from it", async ({ provider, advance }) => {
      const atHand = (key: string): string | undefined => provider.getNow?.(key);
      await provider.set("a", "1", 1_000);
      assert.equal(atHand("a"), provider.getNow === undefined ? undefined : kept("1"));
      assert.equal(atHand("b"), undefined);
      await advance(1_100);
      assert.equal(atHand("a"), undefined);
    });

    promise("returns every text as it was", async ({ provider }) => {
      for (const value of ["", "\n", "zwölf\u0000Töne", "日本語", "🦊", "x".repeat(20_000)]) {
        await provider.set("a", value, 1_000);
        assert.equal(await provider.get("a"), kept(value));
      }
    });

    promise("honours the time to live of each entry", async ({ provider, advance }) => {
      await provider.set("short", "1", 1_000);
      await provider.set("long", "2", 5_000);
      await advance(900);
      assert.equal(await provider.get("short"), kept("1"));
      await advance(200);
      assert.equal(await provider.get("short"), undefined);
      assert.equal(await provider.get("long"), kept("2"));
      await advance(4_000);
      assert.equal(await provider.get("long"), undefined);
    });

    promise("counts the time to live from the last set, and not from a get", async ({ provider, advance }) => {
      await provider.set("a", "1", 1_000);
      await advance(800);
      await provider.set("a", "2", 1_000);
      await advance(800);
      assert.equal(await provider.get("a"), kept("2"));
      await advance(300);
      assert.equal(await provider.get("a"), undefined);
    });

    promise("keeps nothing, old or new, when the time to live is not positive", async ({ provider }) => {
      for (const ttlMs of [0, -1, Number.NaN]) {
        await provider.set("a", "old", 1_000);
        await provider.set("a", "new", ttlMs);
        assert.equal(await provider.get("a"), undefined, String(ttlMs));
      }
    });

    promise("forgets what is deleted, and only that", async ({ provider }) => {
      await provider.set("a", "1", 1_000);
      await provider.set("ab", "2", 1_000);
      await provider.delete("a");
      assert.equal(await provider.get("a"), undefined);
      assert.equal(await provider.get("ab"), kept("2"));
    });

    promise("deletes by pattern what matches, and counts it", async ({ provider, advance }) => {
      const matching = ["t:template:n:a:1", "t:template:n:ab:1", "t:template:n::1"];
      const others = ["t:template:m:a:1", "t:template:n:a:12", "x:t:template:n:a:1", "t:template:n"];
      for (const key of [...matching, ...others]) await provider.set(key, key, 5_000);
      await provider.set("t:template:n:expired:1", "x", 1_000);
      await advance(2_000);
      assert.equal(await provider.deletePattern("t:template:n:*:1"), keeps ? matching.length : 0);
      for (const key of matching) assert.equal(await provider.get(key), undefined, key);
      for (const key of others) assert.equal(await provider.get(key), kept(key), key);
      assert.equal(await provider.deletePattern("t:template:n:*:1"), 0);
    });

    promise("takes every character of a pattern but * and ? for itself", async ({ provider }) => {
      const keys = ["a[b]", "ab", String.raw`a\b`, "a.b", "a^b", "a(b"];
      for (const pattern of keys) {
        for (const key of keys) await provider.set(key, key, 1_000);
        assert.equal(await provider.deletePattern(pattern), keeps ? 1 : 0, pattern);
        assert.equal(await provider.get(pattern), undefined, pattern);
      }
      for (const key of keys) await provider.set(key, key, 1_000);
      assert.equal(await provider.deletePattern("a?b"), keeps ? 4 : 0);
      assert.equal(await provider.get("ab"), kept("ab"));
    });

    promise("is healthy, and its figures are numbers", async ({ provider }) => {
      const health = await provider.healthCheck();
      assert.equal(health.healthy, true);
      for (const [figure, value] of Object.entries(health.figures)) assert.ok(Number.isFinite(value), figure);
    });

    promise("closes more than once, and then misses and keeps nothing", async ({ provider }) => {
      await provider.set("a", "1", 1_000);
      await provider.close();
      await provider.close();
      assert.equal(await provider.get("a"), undefined);
      await provider.set("a", "1", 1_000);
      assert.equal(await provider.get("a"), undefined);
    });

    test("does what a map with expiry times does, in random histories", () =>
      checkProviderHistories({ keeps, open }, 500));
  });
}

/** That a provider does what a map with expiry times does, in so many random histories. */
export async function checkProviderHistories(
  { keeps, open }: Pick<CacheProviderContract, "keeps" | "open">,
  cases: number,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 60, size: "max" }), async (history) => {
      const { provider, advance } = await open();
      const model = new Model(keeps);
      for (const step of history) {
        const expected = model.play(step);
        const atHand = step.do === "get" && provider.getNow !== undefined ? provider.getNow(step.key) : expected;
        assert.deepEqual(atHand, expected, `at hand: ${JSON.stringify(step)}`);
        assert.deepEqual(await play(step, provider, advance), expected, JSON.stringify(step));
      }
      await provider.close();
    }),
    randomCases(cases),
  );
}

type Operation =
  | { readonly do: "get" | "delete"; readonly key: string }
  | { readonly do: "set"; readonly key: string; readonly value: string; readonly ttlMs: number }
  | { readonly do: "deletePattern"; readonly pattern: string }
  | { readonly do: "advance"; readonly ms: number };

const key = fc.constantFrom("a", "b", "ab", "a:b", "a:bb", "b:a");
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("get"), key }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("set"),
      key,
      value: fc.string({ maxLength: 3 }),
      ttlMs: fc.integer({ min: -1, max: 300 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("delete"), key }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("deletePattern"), pattern: fc.stringMatching(/^[ab:*?]{0,4}$/u) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("advance"), ms: fc.integer({ min: 0, max: 200 }) }) },
);

function play(
  step: Operation,
  provider: CacheProvider,
  advance: (ms: number) => Promise<void>,
): Promise<string | number | undefined | void> {
  if (step.do === "advance") return advance(step.ms);
  if (step.do === "set") return provider.set(step.key, step.value, step.ttlMs);
  if (step.do === "deletePattern") return provider.deletePattern(step.pattern);
  return step.do === "get" ? provider.get(step.key) : provider.delete(step.key);
}

class Model {
  readonly #keeps: boolean;
  readonly #values = new Map<string, { readonly value: string; readonly untilMs: number }>();
  #nowMs = 0;

  constructor(keeps: boolean) {
    this.#keeps = keeps;
  }

  play(step: Operation): string | number | undefined {
    for (const [name, { untilMs }] of this.#values) if (this.#nowMs > untilMs) this.#values.delete(name);
    if (step.do === "get") return this.#values.get(step.key)?.value;
    if (step.do === "delete") this.#values.delete(step.key);
    if (step.do === "advance") this.#nowMs += step.ms;
    if (step.do === "deletePattern") return this.#deletePattern(step.pattern);
    if (step.do === "set") {
      this.#values.delete(step.key);
      const { value, ttlMs } = step;
      if (this.#keeps && ttlMs > 0) this.#values.set(step.key, { value, untilMs: this.#nowMs + ttlMs });
    }
    return undefined;
  }

  #deletePattern(pattern: string): number {
    const expression = new RegExp(`^${pattern.replaceAll("*", ".*").replaceAll("?", ".")}$`, "u");
    const matching = [...this.#values.keys()].filter((name) => expression.test(name));
    for (const name of matching) this.#values.delete(name);
    return matching.length;
  }
}
