import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ComputeOverloadedError, ComputeTimeoutError } from "../../src/cache/errors.ts";
import { SingleFlight } from "../../src/cache/single-flight.ts";
import { ManualClock } from "../support/clock.ts";
import { readThroughSystem as setup } from "./support.ts";

/** What each promise rejects with. */
async function errorsOf(promises: readonly Promise<unknown>[]): Promise<unknown[]> {
  const results = await Promise.allSettled(promises);
  return results.map((result): unknown => {
    assert.ok(result.status === "rejected", "should have failed");
    return result.reason;
  });
}

const failure = (promise: Promise<unknown>): Promise<unknown> => errorsOf([promise]).then(([error]) => error);

describe("callers who miss at the same time", () => {
  test("are a thousand, and one computes", async () => {
    const { read, source, settle, metrics } = setup();
    const answers = Array.from({ length: 1_000 }, () => read());
    await settle();
    assert.equal(source.asked, 1);
    source.last.succeed("shared");
    const all = await Promise.all(answers);
    assert.equal(source.asked, 1);
    assert.equal(new Set(all.map(({ body }) => body)).size, 1);
    assert.deepEqual(metrics.requests, { "memory/analytics/miss": 1, "memory/analytics/coalesced": 999 });
  });

  test("and one who looked before the answer came, and asks after it went into the cache, finds it there", async () => {
    const { read, readNow, source, settle, provider } = setup();
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const holds = [held];
    provider.hold = () => holds.pop() ?? Promise.resolve();
    const late = read();
    await readNow("first");
    await settle();
    release();
    const answer = await late;
    assert.deepEqual([answer.status, answer.body.toString()], ["hit", "first"]);
    assert.equal(source.asked, 1);
  });

  test("of different keys compute side by side", async () => {
    const { read, source, settle } = setup();
    const answers = [read("a"), read("b")];
    await settle();
    assert.equal(source.asked, 2);
    source.computations.forEach((computation, index) => computation.succeed(String(index)));
    assert.deepEqual(
      (await Promise.all(answers)).map(({ body }) => body.toString()),
      ["0", "1"],
    );
  });
});

describe("a caller who leaves", () => {
  test("takes nothing from the others, be it the one who began", async () => {
    const { read, source, settle } = setup();
    const leaver = new AbortController();
    const left = failure(read("k", { signal: leaver.signal }));
    const stays = read("k", { signal: new AbortController().signal });
    await settle();
    const reason = new Error("the client has gone");
    leaver.abort(reason);
    assert.equal(await left, reason);
    assert.equal(source.last.signal.aborted, false);
    source.last.succeed("for the others");
    assert.equal((await stays).body.toString(), "for the others");
  });

  test("even when all leave, the answer is kept, and a failure is nobody's", async () => {
    const { read, readNow, source, settle, clock } = setup();
    const signal = AbortSignal.abort(new Error("gone"));
    await failure(read("a", { signal }));
    await failure(read("b", { signal }));
    await settle();
    source.computations[0]?.succeed("kept");
    source.computations[1]?.fail(new Error("nobody hears this"));
    await settle();
    assert.equal((await readNow("new", "a")).body.toString(), "kept");
    await clock.advance(10_000);
  });
});

describe("a computation that fails", () => {
  test("fails for all who waited, is not kept, and is not tried again before the pause is over", async () => {
    const { read, readNow, source, settle, clock, metrics } = setup();
    const waiters = Array.from({ length: 1_000 }, () => read());
    await settle();
    const error = new Error("the database is away");
    source.last.fail(error);
    assert.deepEqual(new Set(await errorsOf(waiters)), new Set([error]));
    assert.equal(await failure(read()), error);
    await clock.advance(999);
    assert.equal(await failure(read()), error);
    assert.equal(source.asked, 1);
    assert.equal(metrics.requests["memory/analytics/paused"], 2);

    await clock.advance(1);
    assert.equal((await readNow("back")).body.toString(), "back");
    assert.equal((await readNow("never")).status, "hit");
    assert.equal(source.asked, 2);
  });

  test("pauses its own key only", async () => {
    const { read, readNow, source, settle } = setup();
    const failed = failure(read("a"));
    await settle();
    source.last.fail(new Error("too much for all history"));
    await failed;
    assert.equal((await readNow("fine", "b")).body.toString(), "fine");
  });

  test("by throwing what is no error gives callers an error with that as its cause", async () => {
    const { read, source, settle } = setup();
    const failed = failure(read());
    await settle();
    source.last.fail("text");
    const error = await failed;
    assert.ok(error instanceof Error);
    assert.equal(error.cause, "text");
  });

  test("leaves no timers behind", async () => {
    const { read, readNow, source, settle, clock } = setup();
    const failed = failure(read());
    await settle();
    source.last.fail(new Error("away"));
    await failed;
    await clock.advance(1_000);
    await readNow("back");
    assert.equal(clock.pending, 0);
  });
});

describe("a computation that does not end", () => {
  test("is told to at the deadline, and its callers get a typed error, as do those in the pause after it", async () => {
    const { read, readNow, source, settle, clock } = setup();
    const waiters = [failure(read()), failure(read())];
    await settle();
    await clock.advance(9_999);
    assert.equal(source.last.signal.aborted, false);
    await clock.advance(1);
    const [error, same] = await Promise.all(waiters);
    assert.ok(error instanceof ComputeTimeoutError);
    assert.equal(error.code, "compute_timeout");
    assert.match(error.message, /performance did not end within 10000 ms/u);
    assert.equal(same, error);
    assert.equal(source.last.signal.reason, error);
    assert.equal(await failure(read()), error);
    assert.equal(source.asked, 1);
    await clock.advance(1_000);
    assert.equal((await readNow("back")).body.toString(), "back");
  });

  test("and brings an answer too late changes nothing: what came after it stays", async () => {
    const { read, readNow, source, settle, clock } = setup();
    const timedOut = failure(read());
    await settle();
    const [late] = source.computations;
    await clock.advance(10_000);
    await timedOut;
    late?.succeed("late");
    await settle();
    assert.ok((await failure(read())) instanceof ComputeTimeoutError);
    await clock.advance(1_000);
    assert.equal((await readNow("new")).body.toString(), "new");
    assert.equal((await readNow("never")).body.toString(), "new");
  });
});

describe("failures that stand", () => {
  test("are bounded in number: beyond, a failure is told and forgotten", async () => {
    const clock = new ManualClock();
    const flights = new SingleFlight<never>({
      clock,
      timeoutMs: 10_000,
      timedOut: () => new ComputeTimeoutError("r", 10_000),
      failurePauseMs: 1_000,
      isFailureOfSource: (error) => !(error instanceof ComputeOverloadedError),
      failuresMax: 1,
    });
    const fails = (key: string) => flights.board(key, () => Promise.reject(new Error(key)));
    await failure(fails("a").value);
    await failure(fails("b").value);
    assert.deepEqual([fails("a").role, fails("b").role], ["paused", "leader"]);
    await clock.advance(1_000);
    await failure(fails("c").value);
    assert.equal(fails("c").role, "paused");
  });
});
