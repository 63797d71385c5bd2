import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Bulkhead } from "../../src/cache/bulkhead.ts";
import { ComputeOverloadedError, ComputeTimeoutError } from "../../src/cache/errors.ts";
import { readThroughSystem as setup } from "./support.ts";

const names = (...wanted: number[]): string[] => wanted.map((index) => `k${index}`);

describe("computations of one resource", () => {
  test("run four at a time, the others wait for their turn", async () => {
    const { read, source, settle } = setup();
    const answers = names(0, 1, 2, 3, 4, 5).map((key) => read(key));
    await settle();
    assert.equal(source.asked, 4);
    source.computations[2]?.succeed("2");
    await settle();
    assert.equal(source.asked, 5);
    source.computations[0]?.fail(new Error("a failure gives its place on too"));
    await assert.rejects(answers[0] ?? Promise.resolve());
    await settle();
    assert.equal(source.asked, 6);
    for (const [index, computation] of source.computations.entries()) computation.succeed(String(index));
    await Promise.all(answers.slice(1));
  });

  test("are refused when too many wait, without a pause: the source has not failed", async () => {
    const { read, readNow, source, settle } = setup({ computationsMax: 1, waitingMax: 1 });
    const answers = ["running", "waiting"].map((key) => read(key));
    await settle();
    await assert.rejects(read("refused"), (error) => {
      assert.ok(error instanceof ComputeOverloadedError);
      assert.equal(error.code, "compute_overloaded");
      assert.match(error.message, /performance was not begun: 1 computations already wait/u);
      return true;
    });
    source.last.succeed("1");
    await settle();
    source.last.succeed("2");
    await Promise.all(answers);
    assert.equal((await readNow("fine", "refused")).body.toString(), "fine");
  });

  test("stop waiting at their deadline, and the source is not asked for them", async () => {
    const { read, source, settle, clock } = setup({ computationsMax: 1 });
    const running = read("running");
    await settle();
    await clock.advance(5_000);
    const waiting = assert.rejects(read("waiting"), ComputeTimeoutError);
    await settle();
    source.last.succeed("done");
    await running;
    const next = source.last;
    await clock.advance(10_000);
    await waiting;
    assert.equal(source.last, next);
  });

  test("keep their place until they really end, whatever their callers were told", async () => {
    const { read, source, settle, clock } = setup({ computationsMax: 1 });
    const deaf = assert.rejects(read("deaf"), ComputeTimeoutError);
    await settle();
    await clock.advance(10_000);
    await deaf;
    const next = read("next");
    await settle();
    assert.equal(source.asked, 1);
    source.last.fail(new Error("cancelled at last"));
    await settle();
    assert.equal(source.asked, 2);
    source.last.succeed("next");
    assert.equal((await next).body.toString(), "next");
  });
});

describe("a bulkhead", () => {
  const never = new AbortController().signal;
  const overloaded = (): Error => new Error("overloaded");

  test("serves who came first, first, and lets nobody in between", async () => {
    const bulkhead = new Bulkhead({ runningMax: 1, waitingMax: 10, overloaded });
    const order: number[] = [];
    const work = (index: number) => bulkhead.run(never, async () => void order.push(index));
    const first = work(0).then(() => work(3));
    await Promise.all([first, work(1), work(2)]);
    assert.deepEqual(order, [0, 1, 2, 3]);
  });

  test("forgets who gives up", async () => {
    const bulkhead = new Bulkhead({ runningMax: 1, waitingMax: 1, overloaded });
    let end: () => void = () => undefined;
    const running = bulkhead.run(never, () => new Promise<void>((resolve) => (end = resolve)));
    const leaver = new AbortController();
    const waiting = bulkhead.run(leaver.signal, () => assert.fail("should not run"));
    await assert.rejects(
      bulkhead.run(never, async () => undefined),
      /overloaded/u,
    );
    leaver.abort(new Error("left"));
    await assert.rejects(waiting, /left/u);
    let begun = false;
    const next = bulkhead.run(never, async () => {
      begun = true;
      return "its place in the queue is free";
    });
    for (let turn = 0; turn < 12; turn += 1) await Promise.resolve();
    assert.equal(begun, false);
    end();
    await running;
    assert.equal(await next, "its place in the queue is free");
  });

  test("loses no place, at whatever moment someone gives up", async () => {
    for (let moment = 0; moment < 12; moment += 1) {
      const bulkhead = new Bulkhead({ runningMax: 1, waitingMax: 2, overloaded });
      const running = bulkhead.run(never, async () => undefined);
      const leaver = new AbortController();
      const leaves = bulkhead.run(leaver.signal, async () => assert.equal(leaver.signal.aborted, false));
      const next = bulkhead.run(never, async () => "next");
      for (let turn = 0; turn < moment; turn += 1) await Promise.resolve();
      leaver.abort(new Error("left"));
      await running;
      await leaves.catch((error: unknown) => assert.equal(error, leaver.signal.reason));
      assert.equal(await next, "next");
      assert.equal(await bulkhead.run(never, async () => "free"), "free");
    }
  });

  test("lets nobody in who has left before", async () => {
    const bulkhead = new Bulkhead({ runningMax: 1, waitingMax: 0, overloaded });
    const left = bulkhead.run(AbortSignal.abort(new Error("left")), async () => undefined);
    await assert.rejects(left, /left/u);
    assert.equal(await bulkhead.run(never, async () => "free"), "free");
  });
});
