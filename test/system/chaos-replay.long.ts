import assert from "node:assert/strict";
import { test } from "node:test";

import { buildWorkers } from "./built-program.ts";
import { replayUnderChaos } from "./chaos-replay.ts";

test(
  "every recorded execution is replayed in order while workers and Postgres die",
  { timeout: 900_000 },
  async (t) => {
    const [program] = await buildWorkers(t, ["test/system/chaos-trace-tasks"]);
    assert.ok(program !== undefined);
    const report = await replayUnderChaos(t, { program, replayed: "all", repeat: 2, kills: 40 });
    t.diagnostic(JSON.stringify(report));
    assert.equal(report.kills, 40);
    assert.ok(report.repeated > 0, "no attempt was repeated");
  },
);
