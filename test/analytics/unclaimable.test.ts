import assert from "node:assert/strict";
import { after, test } from "node:test";

import { readUnclaimable } from "../../src/analytics/unclaimable.ts";
import { newId } from "../../src/engine/ids.ts";
import { announceWorker, withdrawWorker } from "../../src/engine/live-workers.ts";
import { testDatabase } from "../support/database.ts";
import { create, createTask, failStep, moveClock, onlyRow, runStep, stepIdOf, stopClock } from "../support/engine.ts";
import { analyticsOf, ownTemplate, within } from "./support.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

/** A worker with handlers for these kinds. */
async function announce(namedStepIds: readonly number[], id = newId()): Promise<string> {
  await announceWorker(db, { id, namedStepIds, leaseMs: 30_000 });
  return id;
}

const many = (count: number): object[] => Array.from({ length: count }, () => ({}));

test("steps are reported when they could have been claimed for a minute and nobody has a handler", async () => {
  const template = await ownTemplate(db, { pack: [], send: ["pack"] });
  await create(db, template, many(3));
  await moveClock(db, 59.999);
  assert.deepEqual(await readUnclaimable(db, within(template)), []);
  await moveClock(db, 0.001);
  const expected = {
    namespace_name: template.spec.namespace,
    task_name: "order",
    version: "1.0.0",
    step_name: "pack",
    steps: 3,
    steps_is_exact: true,
    oldest_seconds: 60,
  };
  assert.deepEqual(await readUnclaimable(db, within(template)), [expected]);
  const { answer } = await analyticsOf(db).backlog(within(template));
  assert.deepEqual(answer.unclaimable, [expected]);
  // Somebody came who can.
  await announce([stepIdOf(template, "pack")]);
  assert.deepEqual(await readUnclaimable(db, within(template)), []);
});

test("only the kinds that nobody handles are reported", async () => {
  const template = await ownTemplate(db, { pack: [], send: [] });
  await createTask(db, template);
  const worker = await announce([stepIdOf(template, "pack")]);
  await moveClock(db, 30);
  await announce([stepIdOf(template, "pack")], worker);
  await moveClock(db, 30);
  assert.deepEqual(
    (await readUnclaimable(db, within(template))).map((kind) => kind.step_name),
    ["send"],
  );
});

test("a worker counts for a minute after it is gone, however it went", async () => {
  const template = await ownTemplate(db, { pack: [] });
  const kinds = [stepIdOf(template, "pack")];
  const unclaimable = async (): Promise<number> => (await readUnclaimable(db, within(template))).length;
  await createTask(db, template);
  await moveClock(db, 3600);
  assert.equal(await unclaimable(), 1);
  // One whose lease is not renewed: 30 s, and the minute after it.
  await announce(kinds);
  await moveClock(db, 89);
  assert.equal(await unclaimable(), 0);
  await moveClock(db, 1);
  assert.equal(await unclaimable(), 1);
  // One that stops in its order.
  const worker = await announce(kinds);
  await withdrawWorker(db, worker);
  await moveClock(db, 59);
  assert.equal(await unclaimable(), 0);
  await moveClock(db, 1);
  assert.equal(await unclaimable(), 1);
});

test("what waits for a parent, a later start or a retry is not claimable yet", async () => {
  const template = await ownTemplate(db, { pack: [], send: ["pack"] }, { retry: { maxAttempts: 2 } });
  await createTask(db, template);
  await runStep(db, template, "pack");
  await failStep(db, template, "send", { retryAfterSeconds: 600 });
  await createTask(db, template, { runAt: "2030-01-01T00:00:00Z" });
  await moveClock(db, 659);
  assert.deepEqual(await readUnclaimable(db, within(template)), []);
  await moveClock(db, 1);
  assert.deepEqual(
    (await readUnclaimable(db, within(template))).map(({ step_name, steps }) => [step_name, steps]),
    [["send", 1]],
  );
});

test("a long queue is looked at up to a bound, and said so", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await create(db, template, many(1200));
  await moveClock(db, 60);
  assert.deepEqual(
    (await readUnclaimable(db, within(template))).map(({ steps, steps_is_exact }) => [steps, steps_is_exact]),
    [[1000, false]],
  );
});

test("rows of workers that are long gone do not pile up", async () => {
  const gone = await announce([]);
  await moveClock(db, 3631);
  await announce([]);
  const text = "select count(*) filter (where id = $1) as gone, count(*) as left from tasker.live_workers";
  assert.deepEqual(await onlyRow(db, text, [gone]), { gone: 0, left: 1 });
});
