import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ComputeFailedElsewhereError, ComputeTimeoutError } from "../../src/cache/errors.ts";
import { deferred } from "../support/deferred.ts";
import { fleet } from "./fleet-support.ts";

const bodyOf = ({ body }: { readonly body: Buffer }): string => body.toString();

describe("processes that miss at the same time", () => {
  test("are three with ten thousand readers, and one computes", async () => {
    const { processes, source, clock, settle } = fleet();
    const answers = processes.flatMap(({ read }) => Array.from({ length: 3_334 }, () => read()));
    await settle();
    assert.equal(source.asked, 1);
    await clock.advance(500);
    source.last.succeed("shared");
    await clock.advance(200);
    assert.deepEqual(new Set((await Promise.all(answers)).map(bodyOf)), new Set(["shared"]));
    assert.equal(source.asked, 1);
    assert.deepEqual(
      processes.map(({ metrics }) => metrics.leaseWaits),
      [0, 1, 1],
    );
  });

  test("share a failure: the source is asked once, and left alone by all for the pause", async () => {
    const { processes, source, clock, settle } = fleet();
    const wave = () => processes.flatMap(({ read }) => Array.from({ length: 100 }, () => read()));
    const first = Promise.allSettled(wave());
    await settle();
    source.last.fail(new Error("the database is away"));
    await clock.advance(200);
    const reasons = (await first).map((result): unknown => (result.status === "rejected" ? result.reason : "none"));
    const told = new Set(reasons.map((reason) => (reason instanceof Error ? reason.constructor.name : reason)));
    assert.deepEqual(told, new Set(["Error", ComputeFailedElsewhereError.name]));
    const second = await Promise.allSettled(wave());
    assert.ok(second.every(({ status }) => status === "rejected"));
    assert.equal(source.asked, 1);
    await clock.advance(2_000);
    const third = processes.map(({ read }) => read());
    await settle();
    assert.equal(source.asked, 2);
    source.last.succeed("back");
    await clock.advance(200);
    assert.deepEqual((await Promise.all(third)).map(bodyOf), ["back", "back", "back"]);
  });

  test("survive the death of the one that computes: its lease runs out", async () => {
    const { store, second, source, clock, readNow } = fleet();
    await store.claim("k", { token: "dead", leaseMs: 2_000, knownBornMs: undefined, maxAgeMs: 0 });
    const answer = second.read();
    await clock.advance(1_900);
    assert.equal(source.asked, 0);
    await clock.advance(300);
    assert.equal(source.asked, 1);
    source.last.succeed("alive");
    assert.equal(bodyOf(await answer), "alive");
    assert.equal((await readNow(second, "never")).status, "hit");
  });

  test("do not wait for one whose deadline passed before it heard of its lease: it gives the lease back", async () => {
    const { first, second, store, source, clock, settle } = fleet();
    const { promise: held, resolve: release } = deferred();
    store.claimsHeld = held;
    const late = assert.rejects(first.read(), ComputeTimeoutError);
    await clock.advance(10_000);
    await late;
    release();
    await settle();
    await clock.advance(5_000);
    assert.equal(store.leftMs("k:lease"), 0);
    const answer = second.read();
    await settle();
    assert.equal(source.asked, 1);
    source.last.succeed("next");
    assert.equal(bodyOf(await answer), "next");
  });

  test("and find what they cannot read replace it: one computes, and the others find its answer", async () => {
    const { processes, store, source, clock, settle } = fleet();
    store.setRaw("k", `${store.nowMs - 1_000}\n{"v":1}\nof another version`);
    const answers = processes.map(({ read }) => read());
    await settle();
    assert.equal(source.asked, 1);
    source.last.succeed("readable");
    await clock.advance(200);
    assert.deepEqual((await Promise.all(answers)).map(bodyOf), ["readable", "readable", "readable"]);
    assert.equal(source.asked, 1);
  });

  test("do not wait for ever for one that goes on computing: after a while each computes for itself", async () => {
    const { first, second, source, clock, settle } = fleet();
    const slow = first.read();
    await settle();
    const waiting = second.read();
    await clock.advance(4_900);
    assert.equal(source.asked, 1);
    await clock.advance(300);
    assert.equal(source.asked, 2);
    source.last.succeed("own");
    assert.equal(bodyOf(await waiting), "own");
    source.computations[0]?.succeed("slow");
    assert.equal(bodyOf(await slow), "slow");
  });

  test("that compute what may not be kept compute one after the other, and leave no lease", async () => {
    const { first, second, source, clock, store, settle } = fleet();
    const answers = [first.read(), second.read()];
    await settle();
    source.last.succeed("unknown name", false);
    await clock.advance(200);
    source.last.succeed("unknown name", false);
    assert.deepEqual(
      (await Promise.all(answers)).map(({ status, ttlMs }) => [status, ttlMs]),
      [
        ["uncached", 0],
        ["uncached", 0],
      ],
    );
    assert.equal(store.leftMs("k:lease"), 0);
  });
});

describe("an answer of another process", () => {
  test("has the age it has there, whatever the clocks of the hosts show", async () => {
    const { first, second, clock, readNow } = fleet();
    await readNow(first, "shared");
    await clock.advance(20_000);
    const theirs = await readNow(second, "never");
    assert.deepEqual([bodyOf(theirs), theirs.ageMs, theirs.status], ["shared", 20_000, "hit"]);
    await clock.advance(39_000);
    const mine = await readNow(second, "never");
    assert.equal(mine.ageMs, 59_000);
    assert.deepEqual([theirs.provider, mine.provider], ["redis", "memory"]);
    assert.deepEqual(second.metrics.requests, { "redis/analytics/hit": 1, "memory/analytics/hit": 1 });
  });

  test("replaces a stale one without a computation", async () => {
    const { first, second, clock, readNow, source } = fleet();
    await readNow(first, "1");
    await readNow(second, "never");
    await clock.advance(61_000);
    await readNow(first, "2");
    await clock.advance(1_000);
    const theirs = await readNow(second, "never");
    assert.deepEqual([bodyOf(theirs), theirs.status], ["2", "hit"]);
    assert.equal(source.asked, 2);
  });

  test("is not older than promised although its write arrived late", async () => {
    const { first, second, clock, readNow, store, source, settle } = fleet();
    const slow = first.read("k", { staleIfErrorMs: 0 });
    await settle();
    await clock.advance(4_000);
    source.last.succeed("computed for long");
    await slow;
    await clock.advance(56_000);
    assert.equal(store.leftMs("k"), 30_000);
    assert.equal((await readNow(second, "next")).ageMs, 60_000);
  });

  test("that is damaged is computed again, whatever this process has", async () => {
    const { clock, store, first, readNow } = fleet();
    await readNow(first, "old");
    await clock.advance(100_000);
    store.setRaw("k", `${clock.wallMs() - 300_000}\ndamaged`);
    const answer = await readNow(first, "new");
    assert.deepEqual([bodyOf(answer), answer.status], ["new", "miss"]);
    assert.ok((first.metrics.errors["redis/analytics/undecodable"] ?? 0) > 0);
  });
});

describe("an answer that grows old", () => {
  test("is sent stale at once while one process computes the next", async () => {
    const { processes, clock, readNow, source, settle, first } = fleet();
    for (const process of processes) await readNow(process, "1");
    await clock.advance(60_001);
    const stale = await Promise.all(processes.map(({ read }) => read()));
    assert.deepEqual(new Set(stale.map(({ status }) => status)), new Set(["stale"]));
    await settle();
    assert.equal(source.asked, 2);
    assert.equal((await first.read()).status, "stale");
    source.last.succeed("2");
    await clock.advance(200);
    for (const { read } of processes) assert.equal(bodyOf(await read()), "2");
    assert.equal(source.asked, 2);
  });

  test("is refreshed ahead of its end by the fleet once, and never expires for its readers", async () => {
    const { processes, first, clock, source, settle, readNow } = fleet({ random: () => 0.9 });
    const begun = first.read();
    await settle();
    await clock.advance(1_000);
    source.last.succeed("1");
    await begun;
    for (const process of processes) await readNow(process, "never");
    // 1 s to compute and a draw of 0.9 make 2.3 s ahead.
    await clock.advance(56_800);
    for (const { read } of processes) assert.equal((await read()).status, "hit");
    await settle();
    assert.equal(source.asked, 2);
    source.last.succeed("2");
    await clock.advance(200);
    for (const { read } of processes) assert.equal(bodyOf(await read()), "2");
    await clock.advance(30_000);
    for (const { read } of processes) assert.equal((await read()).status, "hit");
    assert.equal(source.asked, 2);
  });

  test("is not sent beyond its bound while the source works: readers wait for the next", async () => {
    const { first, clock, readNow } = fleet();
    await readNow(first, "1");
    await clock.advance(90_000);
    assert.equal((await readNow(first, "2")).status, "stale");
    await clock.advance(90_001);
    const next = await readNow(first, "3");
    assert.deepEqual([bodyOf(next), next.status], ["3", "miss"]);
  });

  test("is sent, marked, while the source fails, until it is an hour old", async () => {
    const { first, second, clock, source, settle, readNow } = fleet();
    await readNow(first, "last");
    await clock.advance(3_599_000);
    // The second has it from the fleet only.
    for (const process of [first, second]) {
      const answer = process.read();
      await settle();
      source.last.fail(new Error("away"));
      await clock.advance(200);
      const { status, staleIfError, ageMs } = await answer;
      assert.deepEqual([status, staleIfError, ageMs >= 3_599_000], ["stale", true, true]);
    }
    // The first one's failure stands for both.
    assert.equal(source.asked, 2);
    assert.equal(second.metrics.requests["memory/analytics/stale_if_error"], 1);
    await clock.advance(2_000);
    const tooOld = assert.rejects(first.read(), /away/u);
    await settle();
    source.last.fail(new Error("away"));
    await tooOld;
  });
});

describe("the loss of the shared store", () => {
  test("at any time leaves each process its memory, and coming back makes them a fleet again", async () => {
    const { processes, first, second, store, clock, source, readNow } = fleet();
    await readNow(first, "1");
    await readNow(second, "never");
    store.away = true;
    assert.equal((await readNow(first, "never")).status, "hit");
    await clock.advance(61_000);
    assert.equal((await readNow(second, "2")).status, "stale");
    assert.equal(bodyOf(await readNow(second, "never")), "2");
    assert.equal(second.metrics.errors["redis/analytics/not_ready"], 1);
    assert.deepEqual(second.lines, []);
    store.away = false;
    store.clear();
    await clock.advance(61_000);
    const { asked } = source;
    for (const process of processes) await readNow(process, "3");
    await clock.advance(200);
    for (const { read } of processes) assert.equal(bodyOf(await read()), "3");
    assert.equal(source.asked, asked + 1);
  });

  test("at the start: memory alone serves, with everything that it promises", async () => {
    const { first, store, clock, readNow } = fleet();
    store.away = true;
    assert.equal((await readNow(first, "1")).status, "miss");
    await clock.advance(60_000);
    assert.equal((await readNow(first, "never")).status, "hit");
    await clock.advance(1);
    assert.equal((await readNow(first, "2")).status, "stale");
    assert.equal(bodyOf(await readNow(first, "never")), "2");
  });

  test("costs a request one command at most: who has found it away does not ask it again", async () => {
    const { first, store, readNow } = fleet();
    store.away = true;
    await readNow(first, "1");
    assert.deepEqual(first.metrics.errors, { "redis/analytics/not_ready": 1 });
  });

  test("while a lease is waited for: the waiter computes at once", async () => {
    const { store, second, source, clock } = fleet();
    await store.claim("k", { token: "other", leaseMs: 60_000, knownBornMs: undefined, maxAgeMs: 0 });
    const answer = second.read();
    await clock.advance(100);
    assert.equal(source.asked, 0);
    store.away = true;
    await clock.advance(150);
    assert.equal(source.asked, 1);
    source.last.succeed("own");
    assert.equal(bodyOf(await answer), "own");
  });
});
