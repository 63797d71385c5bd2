import assert from "node:assert/strict";
import { after, test } from "node:test";

import type { Settlement } from "../../src/engine/settle.ts";
import type { Sql, Statement } from "../../src/postgres/sql.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { Completions } from "../../src/worker/completions.ts";
import { ManualClock } from "../support/clock.ts";
import { testDatabase } from "../support/database.ts";
import { deferred } from "../support/deferred.ts";
import { claim, create, type Held, onlyRow, register, success } from "../support/engine.ts";
import { Calls, connectionRefused } from "./setup.ts";

const { db } = await testDatabase({ after });
let templates = 0;

/** Claims of as many steps as asked for. */
async function heldSteps(count: number): Promise<Held[]> {
  templates += 1;
  const template = await register(db, { a: [] }, { name: `t${templates}` });
  await create(
    db,
    template,
    Array.from({ length: count }, () => ({})),
  );
  return claim(db, template, { limit: count });
}

/** Completions whose batches pass through `intercept` on their way to the database. */
function setup(
  options: { readonly batchMax?: number; readonly onSettled?: (batch: readonly Settlement[]) => void } = {},
) {
  const sent: { readonly steps: string[] }[] = [];
  const accepted: string[] = [];
  const late: string[] = [];
  const state: { intercept: (batch: number) => void | Promise<void> } = { intercept: () => {} };
  const sql: Sql = {
    async query<Row extends object>(statement: Statement): Promise<Row[]> {
      const batch = JSON.parse(String(statement.values?.[0])) as { readonly step_id: string }[];
      sent.push({ steps: batch.map(({ step_id }) => step_id) });
      await state.intercept(sent.length);
      return db.query<Row>(statement);
    },
  };
  const clock = new ManualClock();
  const warnings: string[] = [];
  const completions = new Completions({
    sql,
    clock,
    logger: {
      ...silentLogger,
      warn: (_details: object, message?: string) => void warnings.push(message ?? ""),
      error: (_details: object, message?: string) => void warnings.push(message ?? ""),
    },
    batchMax: options.batchMax ?? 100,
    actor: "test",
    onSettled(batch, settled) {
      for (const { claim: held } of batch) (settled.accepted.has(held.stepId) ? accepted : late).push(held.stepId);
      options.onSettled?.(batch);
    },
  });
  return { completions, clock, sent, accepted, late, warnings, state };
}

async function recorded(held: readonly Held[]): Promise<number> {
  const text = "select count(*) as n from tasker.workflow_step_results where step_id = any($1::uuid[])";
  return (await onlyRow<{ n: number }>(db, text, [held.map(({ stepId }) => stepId)])).n;
}

test("results that come in the same turn of the loop share a batch, a lone one waits for nothing", async () => {
  const held = await heldSteps(4);
  const { completions, sent } = setup();
  const [first, ...others] = held;
  if (first !== undefined) completions.add(success(first));
  await completions.drained();
  for (const one of others) completions.add(success(one));
  await completions.drained();
  assert.deepEqual(
    sent.map(({ steps }) => steps),
    [[first?.stepId], others.map(({ stepId }) => stepId)],
  );
  assert.equal(await recorded(held), 4);
});

test("while a batch is on its way the next gathers, and goes as one when it is back", async () => {
  const held = await heldSteps(6);
  const { completions, sent, state } = setup();
  const [onItsWay, goOn] = [deferred(), deferred()];
  state.intercept = async (batch) => {
    if (batch > 1) return;
    onItsWay.resolve();
    await goOn.promise;
  };
  const [first, ...others] = held;
  if (first !== undefined) completions.add(success(first));
  await onItsWay.promise;
  for (const one of others) {
    completions.add(success(one));
    await onlyRow(db, "select 1 as n");
  }
  assert.equal(sent.length, 1, "never two batches at once");
  goOn.resolve();
  await completions.drained();
  assert.deepEqual(
    sent.map(({ steps }) => steps.length),
    [1, 5],
  );
  assert.equal(await recorded(held), 6);
});

test("a batch holds no more results than its limit, and no more than 8 MiB of them", async () => {
  const held = await heldSteps(7);
  const { completions, sent } = setup({ batchMax: 3 });
  for (const one of held) completions.add(success(one));
  await completions.drained();
  assert.deepEqual(
    sent.map(({ steps }) => steps.length),
    [3, 3, 1],
  );
  const large = await heldSteps(3);
  const other = setup();
  for (const one of large) other.completions.add(success(one, "x".repeat(5 * 1024 * 1024)));
  await other.completions.drained();
  assert.deepEqual(
    other.sent.map(({ steps }) => steps.length),
    [1, 1, 1],
  );
  assert.equal(await recorded(large), 3);
});

test("a result that the database refuses does not take its neighbours with it", async () => {
  const held = await heldSteps(5);
  const { completions, accepted, late, warnings } = setup();
  for (const [index, one] of held.entries()) {
    const settlement = success(one, index);
    const end = { state: "complete", output: '"\\u0000"' } as const;
    completions.add(index === 2 ? { ...settlement, end } : settlement);
  }
  await completions.drained();
  assert.equal(await recorded(held), 4);
  assert.deepEqual(new Set(accepted), new Set(held.map(({ stepId }) => stepId)), "the refused one is not late");
  assert.deepEqual(late, []);
  assert.deepEqual(warnings, ["the database refused a result; its lease will run out"]);
});

test("an outage loses nothing: batches are sent again, ever less often, until the database takes them", async () => {
  const held = await heldSteps(3);
  const { completions, clock, sent, accepted, state, warnings } = setup();
  const tries = new Calls<number>();
  const failures = 8;
  state.intercept = (batch) => {
    tries.add(batch);
    if (batch <= failures) throw connectionRefused();
  };
  for (const one of held) completions.add(success(one));
  const delays = [50, 100, 200, 400, 800, 1600, 2000, 2000];
  for (const [index, delayMs] of delays.entries()) {
    await tries.next();
    await clock.advance(delayMs - 1);
    assert.equal(sent.length, index + 1);
    await clock.advance(1);
  }
  await completions.drained();
  assert.equal(sent.length, failures + 1);
  assert.deepEqual(accepted.toSorted(), held.map(({ stepId }) => stepId).toSorted());
  assert.equal(await recorded(held), 3);
  assert.deepEqual(warnings, ["results cannot be recorded; trying again"]);
});

test("a batch whose answer was lost is recorded once when it is sent again", async () => {
  const held = await heldSteps(2);
  const { completions, clock, state, late } = setup();
  const tries = new Calls<number>();
  let isLost = true;
  state.intercept = async (batch) => {
    if (isLost) {
      isLost = false;
      // It arrived, but the answer did not.
      const { settleSteps } = await import("../../src/engine/settle.ts");
      await settleSteps(
        db,
        held.map((one) => success(one)),
        "test",
      );
      tries.add(batch);
      throw connectionRefused();
    }
  };
  for (const one of held) completions.add(success(one));
  await tries.next();
  await clock.advance(50);
  await completions.drained();
  assert.equal(await recorded(held), 2);
  assert.equal(late.length, 2);
});

test("giving up ends the trying and drops what is left to the rescuer", async () => {
  const held = await heldSteps(2);
  const { completions, state } = setup();
  const tries = new Calls<number>();
  state.intercept = (batch) => {
    tries.add(batch);
    throw connectionRefused();
  };
  for (const one of held) completions.add(success(one));
  await tries.next();
  completions.abandon();
  await completions.drained();
  assert.equal(await recorded(held), 0);
});

test("an observer that fails neither repeats a batch nor stops the next", async () => {
  const held = await heldSteps(2);
  let told = 0;
  const { completions, sent } = setup({
    onSettled() {
      told += 1;
      throw new Error("the observer is broken");
    },
  });
  for (const one of held) {
    completions.add(success(one));
    await completions.drained();
  }
  assert.deepEqual([sent.length, told, await recorded(held)], [2, 2, 2]);
});
