import assert from "node:assert/strict";
import { test } from "node:test";

import { buildWorkers } from "./built-program.ts";
import { chaos } from "./chaos.ts";

test(
  "20,000 steps are complete by one result each after 200 kills and 5 crashes",
  { timeout: 1_200_000 },
  async (t) => {
    const [program] = await buildWorkers(t, ["test/system/chaos-tasks"]);
    assert.ok(program !== undefined);
    const report = await chaos(t, { program, steps: 20_000, kills: 200, crashes: 5 });
    t.diagnostic(JSON.stringify(report));
    assert.deepEqual([report.kills, report.crashes], [200, 5]);
    // What was to happen did.
    const { pauses, refusals, refusedConnections, rescued, repeatedKeys, lateLogs } = report;
    for (const count of [pauses, refusals, refusedConnections, rescued, repeatedKeys, lateLogs]) assert.ok(count > 0);
  },
);
