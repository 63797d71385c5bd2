import assert from "node:assert/strict";
import { test } from "node:test";

import { removeAnalytics } from "../../bench/cost/plain.ts";
import { claimReport, measureCost, settleReport } from "../../bench/cost/report.ts";
import { clusterUrl } from "../support/cluster.ts";
import { testDatabase } from "../support/database.ts";
import { claim, createTask, onlyRow, register, settle, success } from "../support/engine.ts";

test("the cost of the analytics is measured in both databases, for single completions, batches and claims", async () => {
  const report = await measureCost(await clusterUrl(), {
    rounds: 1,
    clients: 2,
    singles: 10,
    batched: 100,
    claims: 10,
  });
  const names = report
    .split("\n")
    .filter((line) => /\d+\.\d\d-\d+\.\d\d$/u.test(line))
    .map((line) => line.split(/ {2,}/u)[0]);
  // Without /proc there is no CPU time to be had.
  const cpu = process.platform === "linux" ? ["CPU us/step, workers' sessions", "CPU us/step, and the fold's"] : [];
  const settling = ["steps/s", ...cpu, "WAL bytes/step"];
  assert.deepEqual(names, [...settling, ...settling, "claim p50, ms", "claim p99, ms"]);
  assert.match(report, /^\d+ answers meanwhile$/mu);
});

test("the engine without analytics does the same work and writes nothing for them", async (t) => {
  const { db } = await testDatabase(t);
  await removeAnalytics(db);
  const template = await register(db, { first: [], second: ["first"] });
  const task = await createTask(db, template);
  for (let step = 0; step < 2; step++) {
    const held = await claim(db, template);
    await settle(db, ...held.map((one) => success(one)));
  }
  const counts = `select (select state::text from tasker.tasks where id = $1) as state,
    (select count(*) from tasker.task_transitions) as tasks, (select count(*) from tasker.workflow_step_transitions) as steps,
    (select count(*) from tasker.state_deltas) + (select count(*) from tasker.step_facts) + (select count(*) from tasker.task_facts) as written`;
  // Of the task: created, started, ended. Of the steps: two claims, two ends, one release.
  assert.deepEqual(await onlyRow(db, counts, [task]), { state: "complete", tasks: 3, steps: 5, written: 0 });
});

test("the ratios are below 1 where the analytics cost the engine, and above where they delay a claim", () => {
  const cost = { foldCpuUs: 10, walBytes: 200 };
  const settled = settleReport("one", [
    {
      with: { ...cost, kind: "with", stepsPerSecond: 90, engineCpuUs: 90 },
      without: { ...cost, kind: "without", stepsPerSecond: 100, engineCpuUs: 80, walBytes: 100 },
    },
  ]);
  const ratios = settled.split("\n").map((line) => line.split(/ {2,}/u)[3]);
  assert.deepEqual(ratios.slice(2), ["0.90", "0.89", "0.80", "0.50"]);
  const claimed = claimReport([
    { quiet: { p50Ms: 1, p99Ms: 2 }, asked: { p50Ms: 2, p99Ms: 3 }, answers: 4 },
    { quiet: { p50Ms: 1, p99Ms: 2 }, asked: { p50Ms: 1, p99Ms: 2 }, answers: 3 },
  ]);
  assert.match(claimed, /^claim p50, ms +1\.50 +1\.00 +1\.50 +1\.00-2\.00$/mu);
  assert.match(claimed, /^7 answers meanwhile$/mu);
});
