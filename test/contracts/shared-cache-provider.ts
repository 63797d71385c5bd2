import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Claim, ClaimRequest, SharedCacheProvider } from "../../src/cache/contract.ts";

/** What a test does to the store behind the provider's back. */
export interface RawStore {
  set(key: string, text: string): Promise<void>;
  delete(key: string): Promise<void>;
  leftMs(key: string): Promise<number>;
  /** Lets so much of every time to live pass. */
  advance(ms: number): Promise<void>;
}

export interface SharedProviderUnderTest {
  readonly provider: SharedCacheProvider;
  readonly raw: RawStore;
}

interface System extends SharedProviderUnderTest {
  readonly claim: (token: string, about?: Partial<ClaimRequest>) => Promise<Claim>;
  /** Claims and fills; resolves to the birth of the value. */
  readonly filled: (value: string) => Promise<number>;
}

/** The promises of `SharedCacheProvider` as tests, for redis and for what stands in for it where a clock is moved. */
export function describeSharedCacheProvider(name: string, open: () => Promise<SharedProviderUnderTest>): void {
  const promise = (title: string, body: (system: System) => Promise<void>): void => {
    test(title, async () => {
      const { provider, raw } = await open();
      const claim = (token: string, about: Partial<ClaimRequest> = {}): Promise<Claim> =>
        provider.claim("k", { token, leaseMs: 60_000, knownBornMs: undefined, maxAgeMs: 60_000, ...about });
      const filled = async (value: string): Promise<number> => {
        const granted = await claim(value);
        assert.ok(granted.state === "granted");
        assert.equal(await provider.fill("k", value, { value, bornMs: granted.nowMs, keepMs: 60_000 }), true);
        return granted.nowMs;
      };
      try {
        await body({ provider, raw, claim, filled });
      } finally {
        await provider.close();
      }
    });
  };

  describe(`the leases of ${name}`, () => {
    promise(
      "one claim is granted; the others learn that another computes, and then find the value with its age",
      async ({ provider, raw, claim }) => {
        const granted = await claim("a");
        assert.ok(granted.state === "granted");
        assert.deepEqual(await claim("b"), { state: "held" });
        assert.equal(
          await provider.fill("k", "a", { value: "x\ny", bornMs: granted.nowMs - 5_000, keepMs: 60_000 }),
          true,
        );
        const found = await claim("b");
        assert.ok(found.state === "found");
        assert.deepEqual([found.kept.value.toString(), found.kept.bornMs], ["x\ny", granted.nowMs - 5_000]);
        assert.ok(found.kept.ageMs >= 5_000 && found.kept.ageMs < 15_000);
        assert.deepEqual((await provider.find("k"))?.value.toString(), "x\ny");
        const left = await raw.leftMs("k");
        assert.ok(left <= 55_000 && left > 45_000, "it is kept from its birth, not from its writing");
      },
    );

    promise(
      "a value that the caller has already, or one that is too old for it, is none",
      async ({ provider, raw, claim, filled }) => {
        const bornMs = await filled("old");
        assert.equal((await claim("b", { knownBornMs: bornMs })).state, "granted");
        await provider.release("k", "b", 0);
        await raw.set("k", `${bornMs - 10_000}\nolder`);
        assert.equal((await claim("c", { maxAgeMs: 9_000 })).state, "granted");
      },
    );

    promise(
      "who has lost its lease writes nothing, renews nothing and gives nothing back",
      async ({ provider, raw, claim }) => {
        const granted = await claim("slow");
        assert.ok(granted.state === "granted");
        // The lease of a holder that died runs out; here it is ended by hand.
        await raw.delete("k:lease");
        assert.equal((await claim("next")).state, "granted");
        assert.equal(await provider.fill("k", "slow", { value: "late", bornMs: granted.nowMs, keepMs: 60_000 }), false);
        assert.equal(await provider.renew("k", "slow", 1_000), false);
        await provider.release("k", "slow", 1_000);
        assert.deepEqual(await claim("third"), { state: "held" });
        assert.equal(await provider.find("k"), undefined);
        assert.equal(await provider.renew("k", "next", 90_000), true);
        assert.ok((await raw.leftMs("k:lease")) > 60_000);
      },
    );

    promise(
      "an invalidation deletes the value and ends the lease, so that a fill under way stores nothing",
      async ({ provider, raw, claim, filled }) => {
        await filled("old");
        const known = await provider.find("k");
        const slow = await claim("slow", { knownBornMs: known?.bornMs });
        assert.ok(slow.state === "granted");
        await provider.invalidate("k");
        assert.equal(await provider.find("k"), undefined);
        assert.equal(await provider.fill("k", "slow", { value: "older", bornMs: slow.nowMs, keepMs: 60_000 }), false);
        assert.equal(await provider.find("k"), undefined);
        assert.equal((await claim("next")).state, "granted");
        await raw.delete("k:lease");
        await provider.invalidate("k");
        assert.equal(await filled("new").then(async () => (await provider.find("k"))?.value.toString()), "new");
      },
    );

    promise("a lease runs out by itself, and a renewed one later", async ({ provider, raw, claim }) => {
      await claim("dead", { leaseMs: 2_000 });
      await raw.advance(1_000);
      assert.equal(await provider.renew("k", "dead", 2_000), true);
      await raw.advance(1_500);
      assert.deepEqual(await claim("next"), { state: "held" });
      await raw.advance(1_000);
      assert.equal((await claim("next")).state, "granted");
    });

    promise(
      "a failure stands for its pause, for everybody, and is not the value's end",
      async ({ provider, raw, claim, filled }) => {
        await filled("value");
        const known = await provider.find("k");
        assert.equal((await claim("a", { knownBornMs: known?.bornMs })).state, "granted");
        await provider.release("k", "a", 60_000);
        assert.deepEqual(await claim("b", { knownBornMs: known?.bornMs }), { state: "failed" });
        assert.equal((await claim("b")).state, "found");
        assert.ok((await raw.leftMs("k:lease")) > 50_000);
      },
    );

    promise(
      "a write that arrives when its value is too old by redis' clock stores nothing",
      async ({ provider, claim }) => {
        const granted = await claim("a");
        assert.ok(granted.state === "granted");
        const bornMs = granted.nowMs - 70_000;
        assert.equal(await provider.fill("k", "a", { value: "v", bornMs, keepMs: 60_000 }), false);
        assert.equal(await provider.find("k"), undefined);
        assert.equal((await claim("b")).state, "granted");
      },
    );

    promise(
      "what is no filled value, and what comes from the future, reads as none and is computed again",
      async ({ provider, raw, claim, filled }) => {
        const inAnHour = (await filled("now")) + 3_600_000;
        await raw.delete("k");
        for (const text of ["no frame", "", `${inAnHour}\nfuture`]) {
          await raw.set("k", text);
          assert.equal(await provider.find("k"), undefined, text);
          assert.equal((await claim("a")).state, "granted");
          await provider.release("k", "a", 0);
        }
      },
    );
  });
}
