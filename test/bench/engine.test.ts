import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { contenderNames, loadContender } from "../../bench/engine/contenders/all.ts";
import { Fleet } from "../../bench/engine/fleet.ts";
import { measureLatency } from "../../bench/engine/latency.ts";
import { measureThroughput, requireOnceEach } from "../../bench/engine/throughput.ts";
import { chainLength, fanWidth } from "../../bench/engine/workloads.ts";
import { testDatabase } from "../support/database.ts";

const concurrency = 20;

describe("the benchmark of the engine", { concurrency: true }, () => {
  for (const name of contenderNames) {
    test(`${name} runs each step of each workload once, in two processes`, async (scope) => {
      const contender = await loadContender(name);
      const { url } = await testDatabase(scope, { migrated: false });
      const fleet = await Fleet.start(contender, url, 2, concurrency);
      try {
        for (const [kind, stepsPerTask] of [
          ["single", 1],
          ["chain", chainLength],
          ["fan", fanWidth + 1],
        ] as const) {
          // It throws unless each ran once.
          const measured = await measureThroughput(fleet, { kind }, 20, 2);
          assert.equal(measured.steps, measured.tasks * stepsPerTask, kind);
          assert.ok(measured.stepsPerSecond > 0 && measured.walBytesPerStep > 0, JSON.stringify(measured));
        }
        // A chain of one that polls takes seconds.
        if (name !== "tasker") return;
        const { stepToStepMs, enqueueToStartMs } = await measureLatency(fleet, 3, 60_000);
        assert.equal(stepToStepMs.length, 3 * (chainLength - 1));
        assert.equal(enqueueToStartMs.length, 3);
        for (const ms of [...stepToStepMs, ...enqueueToStartMs]) assert.ok(ms > 0, `${ms} ms`);
      } finally {
        await fleet.stop();
      }
    });
  }

  test("a step that ran twice, and one that did not run, are errors", () => {
    requireOnceEach(
      "it",
      [
        ["a", 0, 1],
        ["a", 1, 2],
      ],
      2,
    );
    assert.throws(
      () =>
        requireOnceEach(
          "it",
          [
            ["a", 0, 1],
            ["a", 0, 2],
          ],
          2,
        ),
      /it ran 1 different steps in 2 runs, of 2/u,
    );
    assert.throws(() => requireOnceEach("it", [["a", 0, 1]], 2), /it ran 1 different steps in 1 runs, of 2/u);
  });
});
