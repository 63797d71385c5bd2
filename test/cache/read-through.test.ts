import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConstrainedCacheProvider } from "../../src/cache/constraints.ts";
import { encodeEnvelope, entityTag } from "../../src/cache/envelope.ts";
import { noneCacheProvider } from "../../src/cache/providers/none.ts";
import { ReadThrough } from "../../src/cache/read-through.ts";
import { elapsedClock } from "../../src/runtime/clock.ts";
import { ManualClock } from "../support/clock.ts";
import { sleepyClock } from "../support/sleepy-clock.ts";
import { readThroughSystem as setup, unheard } from "./support.ts";

const computedAt = "2026-01-01T00:00:00.000000Z";

describe("reading through the cache", () => {
  test("computes what is not there, and sends the same bytes as long as it is fresh", async () => {
    const { readNow, source, clock, metrics } = setup();
    const first = await readNow('{"a":"ü"}');
    const etag = entityTag(Buffer.from('{"a":"ü"}'));
    const body = Buffer.from('{"a":"ü"}');
    const promise = { ttlMs: 60_000, staleWhileRevalidateMs: 0, staleIfErrorMs: 0, staleIfError: false };
    const origin = { forwarded: "uri-miss", stored: true, provider: undefined };
    assert.deepEqual(first, { body, etag, ageMs: 0, ...promise, status: "miss", ...origin, computedAt });

    await clock.advance(12_345);
    const second = await readNow("never");
    const hit = { status: "hit", forwarded: undefined, stored: false, provider: "memory" };
    assert.deepEqual(second, { ...first, ageMs: 12_345, ...hit });
    assert.equal(second.body, first.body);
    assert.equal(source.asked, 1);
    assert.deepEqual(metrics.requests, { "memory/analytics/miss": 1, "memory/analytics/hit": 1 });
  });

  test("honours the time to live of each key, and not a moment more", async () => {
    const { readNow, clock } = setup();
    await readNow("short", "short", { ttlMs: 1_000 });
    await readNow("long", "long", { ttlMs: 60_000 });
    await clock.advance(1_000);
    assert.equal((await readNow("new", "short", { ttlMs: 1_000 })).status, "hit");
    await clock.advance(1);
    const renewed = await readNow("new", "short", { ttlMs: 1_000 });
    assert.deepEqual([renewed.status, renewed.body.toString()], ["miss", "new"]);
    assert.equal((await readNow("new", "long")).body.toString(), "long");
  });

  test("counts the age from the beginning of the computation", async () => {
    const { read, readNow, source, clock, settle, cache } = setup();
    const answer = read();
    await settle();
    await clock.advance(4_000);
    source.last.succeed("slow");
    assert.equal((await answer).ageMs, 4_000);
    await clock.advance(56_000);
    const last = await readNow("new");
    assert.deepEqual([last.status, last.ageMs], ["hit", 60_000]);
    await clock.advance(1);
    assert.equal(await cache.peek("k"), undefined);
    assert.equal((await readNow("new")).status, "miss");
  });

  test("counts the time for which the machine slept, in the age and in what it is worth", async () => {
    const machine = new ManualClock();
    const sleepy = sleepyClock(machine);
    const { readNow, source } = setup({ clock: elapsedClock(sleepy.clock) }, { machine });
    await readNow("evening");
    sleepy.sleep(30_000);
    const later = await readNow("never");
    assert.deepEqual([later.status, later.ageMs], ["hit", 30_000]);
    sleepy.sleep(8 * 3_600_000);
    const morning = await readNow("morning");
    assert.deepEqual([morning.status, morning.ageMs, morning.body.toString()], ["miss", 0, "morning"]);
    assert.equal(source.asked, 2);
  });

  test("answers, and keeps nothing, when computing takes longer than the answer may be old", async () => {
    const { read, readNow, source, clock, settle } = setup();
    const answer = read("k", { ttlMs: 1_000 });
    await settle();
    await clock.advance(1_001);
    source.last.succeed("slow");
    assert.equal((await answer).body.toString(), "slow");
    assert.equal((await readNow("again", "k", { ttlMs: 1_000 })).body.toString(), "again");
  });

  test("a reader who promises less does not get what another keeps for longer", async () => {
    const { readNow, clock } = setup();
    await readNow("old", "k", { ttlMs: 60_000 });
    await clock.advance(10_001);
    assert.equal((await readNow("new", "k", { ttlMs: 10_000 })).body.toString(), "new");
  });

  test("an answer of another process counts as being as old as it may become", async () => {
    const { readNow, cache } = setup();
    const body = Buffer.from("theirs");
    const about = { computedAt, computeMs: 1, keepMs: 60_000, etag: entityTag(body), process: "other", begunMs: 1e12 };
    await cache.set("k", encodeEnvelope({ ...about, body }, "theirs"), 60_000);
    const answer = await readNow("mine");
    assert.deepEqual([answer.body.toString(), answer.ageMs, answer.status], ["theirs", 60_000, "hit"]);
    assert.equal((await readNow("mine", "k", { ttlMs: 1_000 })).body.toString(), "mine");
  });

  test("what does not decode is computed again, and counted", async () => {
    const { readNow, cache, metrics } = setup();
    await cache.set("k", "no envelope", 60_000);
    assert.equal((await readNow("new")).status, "miss");
    assert.equal((await readNow("newer")).body.toString(), "new");
    assert.ok((metrics.errors["memory/analytics/undecodable"] ?? 0) > 0);
  });
});

describe("answers that are not kept", () => {
  test("when the reader says so, the cache is neither asked nor filled", async () => {
    const { readNow, provider } = setup();
    await readNow("kept");
    provider.broken.add("get").add("set");
    for (const body of ["1", "2"]) {
      const answer = await readNow(body, "k", { cacheable: false });
      assert.deepEqual([answer.body.toString(), answer.status, answer.ttlMs], [body, "uncached", 0]);
    }
    provider.broken.clear();
    assert.equal((await readNow("new")).body.toString(), "kept");
  });

  test("when the computation says so", async () => {
    const { read, readNow, source, settle, metrics } = setup();
    const answers = [read(), read()];
    await settle();
    source.last.succeed("nobody knows this name", false);
    const [first, second] = await Promise.all(answers);
    assert.deepEqual([first?.status, first?.ttlMs], ["uncached", 0]);
    assert.deepEqual([second?.status, second?.ttlMs], ["coalesced", 0]);
    assert.equal((await readNow("known by now")).status, "miss");
    assert.equal(metrics.requests["memory/analytics/uncached"], 1);
  });

  test("when there is no cache, each reader computes, and concurrent ones share", async () => {
    const cache = ConstrainedCacheProvider.create(noneCacheProvider, "analytics", { ...unheard, chosen: true });
    let asked = 0;
    const readThrough = new ReadThrough({ cache, resource: "performance", ...unheard, computeTimeoutMs: 10_000 });
    const compute = async () => ({ body: String((asked += 1)), computedAt });
    const read = () => readThrough.read("k", { ttlMs: 60_000, compute });
    const [first, second] = await Promise.all([read(), read()]);
    const third = await read();
    assert.deepEqual([first.status, second.status, third.status], ["uncached", "coalesced", "uncached"]);
    assert.deepEqual([first.body.toString(), second.body.toString(), third.body.toString()], ["1", "1", "2"]);
    assert.equal(third.ttlMs, 0);
  });
});

describe("a cache that fails", () => {
  test("at reading and writing costs no request, and is used again when it works", async () => {
    const { readNow, provider, lines, source } = setup();
    provider.broken.add("get").add("set");
    assert.equal((await readNow("1")).body.toString(), "1");
    assert.equal((await readNow("2")).body.toString(), "2");
    assert.equal(lines.length, 1);
    provider.broken.clear();
    await readNow("3");
    assert.equal((await readNow("4")).body.toString(), "3");
    assert.equal(source.asked, 3);
  });

  test("at writing only leaves every answer right", async () => {
    const { readNow, provider, metrics } = setup();
    provider.broken.add("set");
    for (const body of ["1", "2"]) {
      const answer = await readNow(body);
      assert.deepEqual([answer.body.toString(), answer.stored], [body, false]);
    }
    assert.deepEqual(metrics.errors, { "memory/analytics/set": 2 });
  });

  test("a write that never ends delays no answer, and is not waited for beyond the deadline", async () => {
    const { readNow, read, provider, source, clock } = setup();
    provider.hold = (operation) => (operation === "set" ? new Promise(() => undefined) : Promise.resolve());
    provider.broken.add("get");
    assert.equal((await readNow("1", "k", { ttlMs: 20_000 })).status, "miss");
    await clock.advance(9_999);
    // The flight has landed and still waits for its write: whoever misses joins it.
    assert.equal((await read("k", { ttlMs: 20_000 })).status, "coalesced");
    await clock.advance(1);
    assert.equal((await readNow("2", "k", { ttlMs: 20_000 })).body.toString(), "2");
    assert.equal(source.asked, 2);
  });

  test("a write that never ends makes nobody share an answer that is older than it may be", async () => {
    const { readNow, read, provider, source, clock } = setup();
    provider.hold = (operation) => (operation === "set" ? new Promise(() => undefined) : Promise.resolve());
    const freshness = { ttlMs: 3_000, staleWhileRevalidateMs: 2_000 };
    await readNow("1", "k", freshness);
    provider.broken.add("get");
    await clock.advance(5_000);
    const last = await read("k", freshness);
    assert.deepEqual([last.status, last.ageMs], ["coalesced", 5_000]);
    await clock.advance(1);
    const [next, shared] = [readNow("2", "k", freshness), read("k", freshness)];
    assert.deepEqual([(await next).body.toString(), (await next).ageMs], ["2", 0]);
    assert.equal((await shared).body.toString(), "2");
    assert.equal(source.asked, 2);
  });

  test("a write that ends after the deadline does not part the readers who miss by then", async () => {
    const { read, readNow, provider, source, clock, settle } = setup();
    let end: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      end = resolve;
    });
    provider.hold = (operation) => (operation === "set" ? held : Promise.resolve());
    await readNow("1", "k", { ttlMs: 5_000 });
    await clock.advance(10_000);
    const answers = [read("k", { ttlMs: 5_000 })];
    await settle();
    end();
    await settle();
    answers.push(read("k", { ttlMs: 5_000 }));
    await settle();
    assert.equal(source.asked, 2);
    source.last.succeed("2");
    assert.deepEqual(
      (await Promise.all(answers)).map(({ body }) => body.toString()),
      ["2", "2"],
    );
  });
});

test("a failure that no caller hears of is logged when it begins and when it is over", async () => {
  const { read, readNow, source, clock, settle, lines } = setup();
  const longer = { staleWhileRevalidateMs: 30_000, staleIfErrorMs: 3_600_000 };
  await readNow("1", "k", longer);
  const failNext = async (): Promise<void> => {
    const answer = read("k", longer);
    await settle();
    source.last.fail(new Error("no such column"));
    assert.equal((await answer).status, "stale");
    await clock.advance(1_000);
  };
  await clock.advance(61_000);
  await failNext();
  await failNext();
  await clock.advance(60_000);
  await failNext();
  await readNow("2", "k", longer);
  await settle();
  assert.equal(source.asked, 5);
  assert.deepEqual(
    lines.map(({ level, details }) => [level, details["resource"], details["err"] instanceof Error]),
    [
      ["warn", "performance", true],
      ["info", "performance", false],
    ],
  );
});
