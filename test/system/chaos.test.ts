import assert from "node:assert/strict";
import { after, describe, test } from "node:test";

import { buildWorkers } from "./built-program.ts";
import { chaos } from "./chaos.ts";
import { replayUnderChaos } from "./chaos-replay.ts";

const modules = ["test/system/chaos-tasks", "test/system/chaos-trace-tasks"];

describe(
  "while workers are killed and paused, and Postgres crashes,",
  { timeout: 600_000, concurrency: 1 },
  async () => {
    const [tasks, traces] = await buildWorkers({ after }, modules);
    assert.ok(tasks !== undefined && traces !== undefined);

    test("each of 500 steps becomes complete by one result", async (t) => {
      const report = await chaos(t, { program: tasks, steps: 500, kills: 6, crashes: 1, checksChecks: true });
      t.diagnostic(JSON.stringify(report));
      assert.deepEqual([report.kills, report.pauses, report.crashes], [6, 1, 1]);
    });

    test("traces are replayed in their order", async (t) => {
      const report = await replayUnderChaos(t, { program: traces, replayed: "few", repeat: 1, kills: 4 });
      t.diagnostic(JSON.stringify(report));
      assert.equal(report.kills, 4);
    });
  },
);
