import assert from "node:assert/strict";
import { after, test } from "node:test";

import { testDatabase } from "../support/database.ts";
import { createTask, runStep, stopClock } from "../support/engine.ts";
import { bottlenecks, ownTemplate } from "./support.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

test("steps and tasks of one name are told apart by namespace, template and version", async () => {
  const graph = { pack: [] };
  const templates = [
    { namespace: "north", name: "order", version: "1.0.0" },
    { namespace: "north", name: "order", version: "2.0.0" },
    { namespace: "north", name: "refund", version: "1.0.0" },
    { namespace: "south", name: "order", version: "1.0.0" },
  ];
  for (const [index, named] of templates.entries()) {
    const template = await ownTemplate(db, graph, named);
    // 1, 10, 100 and 1000 seconds, so that any two that were put together show.
    for (let times = 0; times <= index; times++) {
      await createTask(db, template);
      await runStep(db, template, "pack", 10 ** index);
    }
  }
  const { slow_steps, slow_tasks } = await bottlenecks(db, { hours: 0 });
  const expected = templates.map(({ namespace, name, version }, index) => [
    `${namespace} ${name} ${version}`,
    10 ** index,
    index + 1,
  ]);
  const rows = (found: typeof slow_steps | typeof slow_tasks): unknown[] =>
    found.map((one) => [
      `${one.namespace_name} ${one.task_name} ${one.version}`,
      one.average_duration_seconds,
      one.execution_count,
    ]);
  assert.deepEqual(rows(slow_steps), expected.toReversed());
  assert.deepEqual(rows(slow_tasks), expected.toReversed());
  assert.deepEqual(new Set(slow_steps.map(({ step_name }) => step_name)), new Set(["pack"]));
});
