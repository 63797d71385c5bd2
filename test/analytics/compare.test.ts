import assert from "node:assert/strict";
import { after, test } from "node:test";

import { checkCompare, type VersionComparison } from "../../src/analytics/compare.ts";
import { testDatabase } from "../support/database.ts";
import {
  claim,
  create,
  createTask,
  failure,
  foldAll,
  moveClock,
  runStep,
  settle,
  stopClock,
  success,
  type TestTemplate,
} from "../support/engine.ts";
import { analyticsOf, ownTemplate } from "./support.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

/** Runs the step of `count` fresh tasks; `secondsOf` gives each its duration, and `failed` of them fail. */
async function runMany(
  template: TestTemplate,
  step: string,
  {
    count,
    failed = 0,
    secondsOf,
  }: { readonly count: number; readonly failed?: number; readonly secondsOf: (i: number) => number },
): Promise<void> {
  await create(
    db,
    template,
    Array.from({ length: count }, () => ({})),
  );
  const held = await claim(db, template, { steps: [step], limit: count });
  assert.equal(held.length, count);
  await moveClock(db, Math.ceil(Math.max(...held.map((_, i) => secondsOf(i)))));
  await settle(
    db,
    ...held.map((one, i) =>
      i < failed ? failure(one, { runSeconds: secondsOf(i) }) : success(one, null, secondsOf(i)),
    ),
  );
}

async function comparison(one: TestTemplate, b: string, hours = 24): Promise<VersionComparison> {
  const { namespace, name: task_name, version: a } = one.spec;
  const ask = () => analyticsOf(db).compare({ namespace, task_name, a, b, hours });
  const unfolded = await ask();
  await foldAll(db);
  assert.deepEqual(await ask(), unfolded, "folding changed the answer");
  assert.ok(unfolded.answer);
  return unfolded.answer;
}

test("a slower version, and one that fails more, is told from one that is neither", async () => {
  const old = await ownTemplate(db, { pack: [] }, { version: "1.0.0" });
  const { namespace } = old.spec;
  const slow = await ownTemplate(db, { pack: [] }, { namespace, version: "1.1.0" });
  const broken = await ownTemplate(db, { pack: [] }, { namespace, version: "1.2.0" });
  const spread = (i: number): number => 1 + (i % 97) / 97;
  await runMany(old, "pack", { count: 400, failed: 8, secondsOf: spread });
  await runMany(slow, "pack", { count: 400, failed: 8, secondsOf: (i) => spread(i) * 1.5 });
  await runMany(broken, "pack", { count: 400, failed: 60, secondsOf: spread });

  const slower = await comparison(old, "1.1.0");
  assert.deepEqual([slower.a, slower.b], ["1.0.0", "1.1.0"]);
  const [pack] = slower.steps;
  assert.deepEqual(
    [pack?.step_name, pack?.comparison?.p50_duration.verdict, pack?.comparison?.p95_duration.verdict],
    ["pack", "higher", "higher"],
  );
  const ratio = pack?.comparison?.p50_duration;
  assert.ok(Math.abs((ratio?.estimate ?? 0) - 1.5) < 0.03);
  assert.ok((ratio?.low ?? 0) < 1.5 && (ratio?.high ?? 0) > 1.5);
  assert.equal(pack?.comparison?.error_rate.verdict, "no_difference_found");
  assert.deepEqual([pack.a?.execution_count, pack.a?.completed_count, pack.b?.error_rate], [400, 392, 0.02]);
  assert.equal(slower.tasks.a.execution_count, 400);
  assert.equal(slower.tasks.comparison.error_rate.verdict, "no_difference_found");

  const { steps, tasks } = await comparison(old, "1.2.0");
  assert.deepEqual(steps[0]?.comparison?.error_rate.verdict, "higher");
  assert.equal(tasks.comparison.error_rate.verdict, "higher");
  assert.ok(Math.abs((tasks.comparison.error_rate.estimate ?? 0) - 0.13) < 1e-9);
  assert.equal(steps[0]?.comparison?.p50_duration.verdict, "no_difference_found");
});

test("a step that one version has not is shown alone, and more steps need more evidence each", async () => {
  const old = await ownTemplate(db, { a: [], b: [], gone: [] }, { version: "1.0.0" });
  await ownTemplate(db, { a: [], b: [], made: [] }, { namespace: old.spec.namespace, version: "2.0.0" });
  await createTask(db, old);
  await runStep(db, old, "gone", 2);
  const { steps, tasks } = await comparison(old, "2.0.0");
  assert.deepEqual(
    steps.map((step) => [step.step_name, step.a !== null, step.b !== null, step.comparison?.confidence]),
    [
      ["a", true, true, 0.975],
      ["b", true, true, 0.975],
      ["gone", true, false, undefined],
      ["made", false, true, undefined],
    ],
  );
  assert.deepEqual([steps[2]?.a?.execution_count, steps[2]?.a?.average_duration_seconds], [1, 2]);
  assert.equal(steps[0]?.comparison?.p50_duration.verdict, "not_enough_data");
  assert.equal(tasks.comparison.confidence, 0.95);
  const all = await comparison(old, "2.0.0", 0);
  assert.ok(all.analysis_period_start > "2026-03-10");
});

test("versions that nobody registered are no answer, and a version is not compared with itself", async () => {
  const old = await ownTemplate(db, { pack: [] }, { version: "1.0.0" });
  const { namespace, name: task_name } = old.spec;
  const asked = { namespace, task_name, a: "1.0.0", b: "1.1.0", hours: 24 };
  assert.equal((await analyticsOf(db).compare(asked)).answer, null);
  assert.throws(() => checkCompare({ ...asked, b: "1.0.0" }), {
    code: "invalid_parameter",
    message: "a and b must be different versions, got 1.0.0 twice",
  });
  assert.throws(() => checkCompare({ ...asked, hours: 8761 }), { code: "invalid_parameter" });
});
