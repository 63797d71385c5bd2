import assert from "node:assert/strict";
import { after, test } from "node:test";

import { traceOnce } from "../../src/analytics/critical-path.ts";
import { Elections } from "../../src/engine/leadership.ts";
import { cancelTask, resetStep, resolveStep } from "../../src/engine/operate.ts";
import { testDatabase } from "../support/database.ts";
import {
  claimStep,
  createTask,
  failStep,
  findStep,
  moveClock,
  onlyRow,
  runStep,
  setClock,
  settle,
  stopClock,
  success,
  type TestTemplate,
} from "../support/engine.ts";
import { sharesEqualRecount, traceAll } from "./critical-path.ts";
import { bottlenecks, close, ownTemplate, within } from "./support.ts";

const { db } = await testDatabase({ after });
await stopClock(db);
const operator = { actor: "test", reason: "because" };

async function sharesOf(template: TestTemplate, hours = 24): Promise<Record<string, number | null>> {
  const { slow_steps } = await bottlenecks(db, { ...within(template), hours, limit: 100 });
  return Object.fromEntries(
    slow_steps
      .map((step) => [step.step_name, step.critical_path_share] as const)
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
}

test("the steps of a chain share the task's time, waiting included", async () => {
  const template = await ownTemplate(db, { pack: [], send: ["pack"] });
  await createTask(db, template);
  await moveClock(db, 10);
  await runStep(db, template, "pack", 20);
  await moveClock(db, 30);
  await runStep(db, template, "send", 40);
  assert.deepEqual(await sharesOf(template), { pack: null, send: null }, "nothing is traced yet");
  assert.equal(await traceAll(db), 1);
  assert.deepEqual(await sharesOf(template), { pack: 0.3, send: 0.7 });
  assert.equal(await traceAll(db), 0);
  assert.deepEqual(await sharesOf(template), { pack: 0.3, send: 0.7 });
});

test("of a diamond the branch that ended last is on the path, and the other owns nothing", async () => {
  const template = await ownTemplate(db, { start: [], slow: ["start"], quick: ["start"], join: ["slow", "quick"] });
  await createTask(db, template);
  await runStep(db, template, "start", 10);
  await runStep(db, template, "quick", 20);
  await runStep(db, template, "slow", 40);
  await runStep(db, template, "join", 30);
  await traceAll(db);
  assert.deepEqual(await sharesOf(template), { start: 0.1, slow: 0.6, quick: 0, join: 0.3 });
});

test("failed attempts and their backoff are owned by the step that was tried again", async () => {
  const template = await ownTemplate(db, { pack: [], send: ["pack"] }, { retry: { maxAttempts: 3 } });
  await createTask(db, template);
  await failStep(db, template, "pack", { seconds: 5, retryAfterSeconds: 60 });
  await moveClock(db, 60);
  await runStep(db, template, "pack", 10);
  await runStep(db, template, "send", 25);
  await traceAll(db);
  assert.deepEqual(await sharesOf(template), { pack: 0.75, send: 0.25 });
});

test("a failed task's path ends with the step that ended last; what was blocked owns nothing", async () => {
  const template = await ownTemplate(db, { bad: [], long: [], never: ["bad"] });
  await createTask(db, template);
  const long = await claimStep(db, template, "long");
  await failStep(db, template, "bad", { seconds: 5 });
  await moveClock(db, 15);
  await settle(db, success(long, null, 20));
  await traceAll(db);
  assert.deepEqual(await sharesOf(template), { bad: 0, long: 1 });
});

test("after a reset the task's new life is traced, and what ended before it owns nothing of it", async () => {
  const template = await ownTemplate(db, { pack: [], send: ["pack"], tell: ["send"] });
  const task = await createTask(db, template);
  await runStep(db, template, "pack", 10);
  await failStep(db, template, "send", { seconds: 30 });
  await traceAll(db);
  assert.deepEqual(await sharesOf(template), { pack: 0.25, send: 0.75 });
  await moveClock(db, 7200);
  await resetStep(db, await findStep(db, task, "send"), operator);
  await runStep(db, template, "send", 15);
  await runStep(db, template, "tell", 5);
  await traceAll(db);
  // 10 + 30 of the first life, 15 + 5 of the second.
  const shares = await sharesOf(template);
  for (const [step, seconds] of Object.entries({ pack: 10, send: 45, tell: 5 }))
    close(shares[step] ?? null, seconds / 60);
});

test("a life that was over before it was traced is left out, and so is a cancelled task", async () => {
  const template = await ownTemplate(db, { pack: [], send: ["pack"] });
  const task = await createTask(db, template);
  await runStep(db, template, "pack", 10);
  await failStep(db, template, "send", { seconds: 30 });
  await resetStep(db, await findStep(db, task, "send"), operator);
  assert.equal(await traceAll(db), 0);
  await runStep(db, template, "send", 5);
  const cancelled = await createTask(db, template);
  await runStep(db, template, "pack", 1000);
  await cancelTask(db, cancelled, operator);
  assert.equal(await traceAll(db), 1);
  assert.deepEqual(await sharesOf(template), { pack: 0, send: 1 });
});

test("a step that waited for an operator to resolve it owns that time", async () => {
  const template = await ownTemplate(db, { pack: [], send: ["pack"], tell: ["send"] });
  const task = await createTask(db, template);
  await runStep(db, template, "pack", 10);
  await moveClock(db, 80);
  await resolveStep(db, await findStep(db, task, "send"), operator, null);
  await runStep(db, template, "tell", 10);
  await traceAll(db);
  const { slow_steps } = await bottlenecks(db, within(template));
  assert.deepEqual(Object.fromEntries(slow_steps.map((s) => [s.step_name, s.critical_path_share])), {
    pack: 0.1,
    tell: 0.1,
  });
  const all = await db.query<{ share: number }>({
    text: `select c.share from tasker.critical_path_shares(null, tasker.clock(), null) c
      join tasker.analytics_identities i on i.id = c.identity_id where i.namespace_name = $1 and i.step_name = 'send'`,
    values: [template.spec.namespace],
  });
  assert.deepEqual(all, [{ share: 0.8 }]);
});

test("the path belongs to the window in which its task ended, in windows of every grain", async () => {
  const template = await ownTemplate(db, { pack: [], send: ["pack"] });
  /** A task whose steps take so long that they own such shares, and that ends then. */
  const taskEnding = async (at: string, packSeconds: number, sendSeconds: number): Promise<void> => {
    await setClock(db, at);
    await moveClock(db, -packSeconds - sendSeconds);
    await createTask(db, template);
    await runStep(db, template, "pack", packSeconds);
    await runStep(db, template, "send", sendSeconds);
  };
  await taskEnding("2026-05-01T00:00:00Z", 1024, 0);
  await taskEnding("2026-05-09T23:59:59.999999Z", 512, 0);
  await taskEnding("2026-05-10T10:29:59.999999Z", 256, 0);
  await taskEnding("2026-05-10T10:30:00Z", 0, 64);
  await taskEnding("2026-05-10T11:00:00Z", 0, 64);
  await taskEnding("2026-05-10T11:29:59Z", 0, 128);
  await setClock(db, "2026-05-10T11:30:30Z");
  await traceAll(db);
  const packOver = async (hours: number): Promise<number | null> => (await sharesOf(template, hours))["pack"] ?? null;
  // The pack of a task in the window may itself have ended before it.
  close(await packOver(1), 0);
  close(await packOver(2), 256 / 512);
  close(await packOver(24), 768 / 1024);
  close(await packOver(49), 768 / 1024);
  close(await packOver(480), 1792 / 2048);
  close(await packOver(0), 1792 / 2048);
});

test("sorted by critical path, the step that tasks spend most of their time on comes first, also beyond the limit", async () => {
  const template = await ownTemplate(db, { first: [], long: ["first"], aside: ["first"], last: ["long", "aside"] });
  await createTask(db, template);
  await runStep(db, template, "first", 5);
  const long = await claimStep(db, template, "long");
  await runStep(db, template, "aside", 60);
  await moveClock(db, 15);
  await settle(db, success(long, null, 10));
  await runStep(db, template, "last", 20);
  await traceAll(db);
  const named = async (limit: number) =>
    (await bottlenecks(db, { ...within(template), sort: "critical_path", limit })).slow_steps.map((s) => [
      s.step_name,
      s.critical_path_share,
    ]);
  assert.deepEqual(await named(2), [
    ["long", 0.75],
    ["last", 0.2],
  ]);
  assert.deepEqual((await named(10)).slice(2), [
    ["first", 0.05],
    ["aside", 0],
  ]);
});

test("tracing is bounded, goes on where it stopped and waits for nobody's transaction", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await traceAll(db);
  for (let i = 0; i < 5; i++) await createTask(db, template);
  for (let i = 0; i < 4; i++) await runStep(db, template, "pack", 10);
  await db.transaction(async (late) => {
    await runStep(late, template, "pack", 10);
    const piece = await onlyRow(db, "select traced, more from tasker.trace_critical_paths(3)");
    assert.deepEqual(piece, { traced: 3, more: true });
    assert.deepEqual(await onlyRow(db, "select traced, more from tasker.trace_critical_paths(3)"), {
      traced: 1,
      more: false,
    });
  });
  assert.deepEqual(await onlyRow(db, "select traced, more from tasker.trace_critical_paths(3)"), {
    traced: 1,
    more: false,
  });
});

test("minutes that no window begins in any more are removed, hours and days stay", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await setClock(db, "2026-06-01T12:00:00Z");
  await createTask(db, template);
  await runStep(db, template, "pack", 10);
  await traceAll(db);
  await setClock(db, "2026-06-20T12:00:00Z");
  await traceAll(db);
  const grains = await db.query<{ grain: string }>({
    text: `select grain from tasker.critical_paths where identity_id = $1 order by grain`,
    values: [template.stepIds.get("pack")],
  });
  assert.deepEqual(
    grains.map(({ grain }) => grain),
    ["a", "d", "h"],
  );
  assert.deepEqual(await sharesOf(template, 480), { pack: 1 });
});

test("a leader that was replaced traces nothing", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await createTask(db, template);
  await runStep(db, template, "pack", 10);
  const [one, other] = [new Elections(db, 10_000), new Elections(db, 10_000)];
  const former = await one.lead("critical_path");
  await one.resign(["critical_path"]);
  const present = await other.lead("critical_path");
  assert.ok(former && present);
  assert.deepEqual(await traceOnce(db, former, 1000), { traced: 0, more: false });
  assert.deepEqual(await traceOnce(db, present, 1000), { traced: 1, more: false });
});

test("in random histories the shares are those of a plain recount", async () => {
  await sharesEqualRecount(db, 300);
});
