import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MemoryCacheProvider } from "../../src/cache/providers/memory.ts";
import { noneCacheProvider } from "../../src/cache/providers/none.ts";
import { describeCacheProvider } from "../contracts/cache-provider.ts";
import { ManualClock } from "../support/clock.ts";

const roomy = { entriesMax: 1_000, bytesMax: 10_000_000 };

describeCacheProvider({
  name: "memory",
  reach: "process",
  keeps: true,
  open: async () => {
    const clock = new ManualClock();
    return { provider: new MemoryCacheProvider(roomy, clock), advance: (ms) => clock.advance(ms) };
  },
});

describeCacheProvider({
  name: "none",
  reach: "none",
  keeps: false,
  open: async () => ({ provider: noneCacheProvider, advance: async () => undefined }),
});

describe("the memory cache", () => {
  test("still holds a value at exactly its time to live, on a clock that begins at 0", async () => {
    const clock = new ManualClock();
    const cache = new MemoryCacheProvider(roomy, clock);
    await cache.set("a", "1", 60_000);
    await clock.advance(60_000);
    assert.equal(await cache.get("a"), "1");
    await clock.advance(0.5);
    assert.equal(await cache.get("a"), undefined);
  });

  test("takes times to live of fractions of a millisecond", async () => {
    const clock = new ManualClock();
    const cache = new MemoryCacheProvider(roomy, clock);
    await cache.set("a", "1", 0.5);
    assert.equal(await cache.get("a"), "1");
    await clock.advance(0.75);
    assert.equal(await cache.get("a"), undefined);
  });

  test("gives up the least recently used entry when it has too many", async () => {
    const cache = new MemoryCacheProvider({ ...roomy, entriesMax: 2 }, new ManualClock());
    await cache.set("a", "1", 1_000);
    await cache.set("b", "2", 1_000);
    await cache.get("a");
    await cache.set("c", "3", 1_000);
    assert.deepEqual(await Promise.all(["a", "b", "c"].map((key) => cache.get(key))), ["1", undefined, "3"]);
    assert.equal((await cache.healthCheck()).figures["evictions_total"], 1);
  });

  test("never takes more bytes than it may", async () => {
    const bytesMax = 20_000;
    const cache = new MemoryCacheProvider({ entriesMax: 1_000, bytesMax }, new ManualClock());
    for (let index = 0; index < 100; index += 1) {
      await cache.set(`key ${index}`, "x".repeat(index * 10), 1_000);
      const { bytes } = (await cache.healthCheck()).figures;
      assert.ok(bytes !== undefined && bytes <= bytesMax, `${bytes} bytes`);
    }
    assert.equal(await cache.get("key 99"), "x".repeat(990));
    const { entries, evictions_total: evictions } = (await cache.healthCheck()).figures;
    assert.ok(entries !== undefined && entries > 5);
    assert.equal(evictions, 100 - entries);
  });

  test("refuses a value that would take more than an eighth of its bytes, forgets the one before it, and counts that", async () => {
    const cache = new MemoryCacheProvider({ entriesMax: 10, bytesMax: 80_000 }, new ManualClock());
    await cache.set("other", "kept", 1_000);
    await cache.set("a", "small", 1_000);
    await cache.set("a", "x".repeat(5_000), 1_000);
    assert.equal(await cache.get("a"), undefined);
    assert.equal(await cache.get("other"), "kept");
    assert.equal((await cache.healthCheck()).figures["refused_too_large_total"], 1);
  });

  test("evicts one entry for each that comes when it is full, however far it is filled, and within the call", async () => {
    const cache = new MemoryCacheProvider({ entriesMax: 100, bytesMax: 10_000_000 }, new ManualClock());
    let before = 0;
    for (let index = 0; index < 5_000; index += 1) {
      // Not awaited: what is seen next happened within the call, and leaves nothing for later turns of the event loop.
      void cache.set(`key ${index}`, "x", 1_000);
      const { entries, evictions_total: evictions = Number.NaN } = (await cache.healthCheck()).figures;
      assert.equal(evictions - before, index < 100 ? 0 : 1);
      assert.equal(entries, Math.min(100, index + 1));
      before = evictions;
    }
  });

  test("evicts no more than a value needs: an eighth of its bytes, whatever lies there", async () => {
    const bytesMax = 100_000;
    const cache = new MemoryCacheProvider({ entriesMax: 1_000, bytesMax }, new ManualClock());
    for (let index = 0; index < 1_000; index += 1) await cache.set(String(index), "", 1_000);
    const { bytes: full = 0, evictions_total: before = Number.NaN } = (await cache.healthCheck()).figures;
    // The largest that is taken: 12,500 bytes with its key and the overhead.
    await cache.set("large", "x".repeat(6_145), 1_000);
    const {
      bytes = 0,
      evictions_total: after = Number.NaN,
      refused_too_large_total: refused,
    } = (await cache.healthCheck()).figures;
    assert.equal(refused, 0);
    assert.ok(full <= bytesMax && bytes <= bytesMax, `${full} then ${bytes} bytes`);
    // Entries of 200 bytes and a few more; one more or less, as the sum comes out.
    assert.ok(after - before > 0 && after - before <= 12_500 / 200 + 1, `${after - before} evictions for one value`);
  });

  test("sets aside no room for entries that its bytes do not allow", async () => {
    const cache = new MemoryCacheProvider({ entriesMax: 100_000_000, bytesMax: 100_000 }, new ManualClock());
    await cache.set("a", "1", 1_000);
    assert.equal(await cache.get("a"), "1");
  });

  test("starts no timers", async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    const before = timers();
    const clock = new ManualClock();
    const cache = new MemoryCacheProvider(roomy, clock);
    await cache.set("a", "1", 1_000);
    await cache.get("a");
    assert.equal(timers(), before);
    assert.equal(clock.pending, 0);
  });
});
