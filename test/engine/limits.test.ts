import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";

import { claimSteps } from "../../src/engine/claim.ts";
import { newId } from "../../src/engine/ids.ts";
import { limitNamespace } from "../../src/engine/limits.ts";
import { cancelTask } from "../../src/engine/operate.ts";
import { rescueExpired } from "../../src/engine/rescue.ts";
import type { Sql } from "../../src/postgres/sql.ts";
import { openTestPool, testDatabase } from "../support/database.ts";
import {
  claim,
  claimStep,
  create,
  createTask,
  failure,
  moveClock,
  onlyRow,
  register,
  settle,
  stepIdOf,
  stopClock,
  success,
  type TestTemplate,
} from "../support/engine.ts";
import { checkInvariants } from "./invariants.ts";

const { db, url } = await testDatabase({ after });
await stopClock(db);
afterEach(() => checkInvariants(db));

const many = (count: number): object[] => Array.from({ length: count }, () => ({}));

async function runningOf(sql: Sql, ...templates: TestTemplate[]): Promise<number> {
  const ids = templates.flatMap((template) => [...template.stepIds.values()]);
  const text =
    "select count(*) as n from tasker.workflow_steps where state = 'in_progress' and named_step_id = any($1)";
  return (await onlyRow<{ n: number }>(sql, text, [ids])).n;
}

/** Runs everything that is queued with many claimers at once, and returns the most that was ever seen running. */
async function mostRunning(steps: number, ...templates: TestTemplate[]): Promise<number> {
  const pool = openTestPool(url, 8);
  const namedStepIds = templates.flatMap((template) => [...template.stepIds.values()]);
  let ended = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    while (ended < steps) {
      const owner = newId();
      const { claims } = await claimSteps(pool, { workerId: owner, namedStepIds, limit: 4, leaseMs: 30_000 });
      most = Math.max(most, await runningOf(pool, ...templates));
      for (const one of claims) await settle(pool, success({ ...one, owner }));
      ended += claims.length;
    }
  };
  try {
    await Promise.all(Array.from({ length: 8 }, work));
  } finally {
    await pool.close();
  }
  assert.equal(ended, steps);
  return most;
}

test("claimers at once never run more of a step than its limit, and every step gets its turn", async () => {
  const limited = await register(db, { a: [] }, { name: "together", concurrency: { a: 3 } });
  await create(db, limited, many(120));
  assert.equal(await mostRunning(120, limited), 3);
});

test("without a limit the same claimers run more than that", async () => {
  const free = await register(db, { a: [] }, { name: "together_free" });
  await create(db, free, many(120));
  assert.ok((await mostRunning(120, free)) > 3);
});

test("a namespace's limit counts the steps of all its templates", async () => {
  const one = await register(db, { a: [] }, { namespace: "mail", name: "one" });
  const two = await register(db, { a: [], b: [] }, { namespace: "mail", name: "two", concurrency: { b: 2 } });
  await limitNamespace(db, "mail", 5);
  await create(db, one, many(60));
  await create(db, two, many(30));
  assert.equal(await mostRunning(120, one, two), 5);
});

test("a step under two limits obeys both", async () => {
  const template = await register(db, { a: [], b: [] }, { namespace: "both", name: "both", concurrency: { a: 2 } });
  await limitNamespace(db, "both", 3);
  await create(db, template, many(10));
  const first = await claim(db, template);
  assert.equal(first.length, 3);
  assert.equal(first.filter((held) => held.namedStepId === template.stepIds.get("a")).length, 2);
  const a = first.find((held) => held.namedStepId === template.stepIds.get("a"));
  assert.ok(a);
  await settle(db, success(a));
  assert.equal((await claim(db, template, { steps: ["b"] })).length, 1);
  assert.deepEqual(await claim(db, template), []);
});

test("limited steps at the head of the queue do not hold up those behind them", async () => {
  const limited = await register(db, { a: [] }, { name: "head", concurrency: { a: 2 } });
  const other = await register(db, { a: [] }, { name: "behind" });
  await create(
    db,
    limited,
    many(50).map(() => ({ priority: 9 })),
  );
  await create(db, other, many(10));
  const namedStepIds = [stepIdOf(limited, "a"), stepIdOf(other, "a")];
  const { claims } = await claimSteps(db, { workerId: newId(), namedStepIds, limit: 8, leaseMs: 30_000 });
  assert.deepEqual(
    claims.map((one) => one.namedStepId),
    [...Array.from({ length: 2 }, () => namedStepIds[0]), ...Array.from({ length: 6 }, () => namedStepIds[1])],
  );
});

test("under a limit too the highest priority comes first", async () => {
  const template = await register(db, { a: [] }, { name: "ordered_limited", concurrency: { a: 1 } });
  const created = await create(db, template, [{ priority: 1 }, { priority: 3 }, { priority: 2 }]);
  for (const index of [1, 2, 0]) {
    const held = await claimStep(db, template, "a");
    assert.equal(held.taskId, created[index]?.id);
    await settle(db, success(held));
  }
});

test("whatever ends an attempt makes room", async () => {
  const template = await register(db, { a: [] }, { name: "freed", concurrency: { a: 1 }, retry: { maxAttempts: 9 } });
  await create(db, template, many(5));
  const next = async () => {
    const held = await claimStep(db, template, "a");
    assert.deepEqual(await claim(db, template), []);
    return held;
  };
  await settle(db, success(await next()));
  await settle(db, failure(await next()));
  await settle(db, failure(await next(), { retryAfterSeconds: 1000 }));
  await cancelTask(db, (await next()).taskId, { actor: "test", reason: "" });
  await next();
  await moveClock(db, 31);
  await rescueExpired(db, () => 0);
  await settle(db, success(await next()));
});

test("a limit that is lowered stops new claims only, and counts what was claimed before there was one", async () => {
  const template = await register(db, { a: [] }, { namespace: "lowered", name: "lowered" });
  await create(db, template, many(20));
  const held = await claim(db, template, { limit: 6 });
  await limitNamespace(db, "lowered", 4);
  assert.equal(await runningOf(db, template), 6);
  for (const [index, one] of held.slice(0, 2).entries()) {
    assert.deepEqual(await claim(db, template), [], `${index} have ended`);
    await settle(db, success(one));
  }
  assert.deepEqual(await claim(db, template), []);
  for (const one of held.slice(2, 4)) await settle(db, success(one));
  assert.equal((await claim(db, template)).length, 2);
  await limitNamespace(db, "lowered", 0);
  assert.deepEqual(await claim(db, template), []);
  await limitNamespace(db, "lowered", 5);
  assert.equal((await claim(db, template)).length, 1);
  await limitNamespace(db, "lowered", null);
  assert.equal((await claim(db, template)).length, 11);
});

test("a claim waits for no limit that another one holds: it takes what it may, and is told to ask again", async () => {
  const limited = await register(db, { a: [] }, { name: "held", concurrency: { a: 2 } });
  const other = await register(db, { a: [] }, { name: "held_other" });
  await create(db, limited, many(3));
  await create(db, other, many(3));
  const namedStepIds = [stepIdOf(limited, "a"), stepIdOf(other, "a")];
  const ask = (limit: number) => claimSteps(db, { workerId: newId(), namedStepIds, limit, leaseMs: 30_000 });
  await db.transaction(async (sql) => {
    await claim(sql, limited, { limit: 1 });
    const { claims, isContended } = await ask(2);
    assert.deepEqual(
      claims.map((one) => one.namedStepId),
      [namedStepIds[1], namedStepIds[1]],
    );
    assert.equal(isContended, true);
  });
  const { claims, isContended } = await ask(2);
  assert.deepEqual(
    claims.map((one) => one.namedStepId),
    [namedStepIds[0], namedStepIds[1]],
  );
  assert.equal(isContended, false);
  // Where a limit is reached there is nothing to contend for, whoever holds it.
  await db.transaction(async (sql) => {
    await sql.query({ text: "select from tasker.concurrency_limits for update" });
    assert.deepEqual(await ask(2), { claims: [], isContended: false });
  });
});

test("a claim that is rolled back leaves its room", async () => {
  const template = await register(db, { a: [] }, { name: "undone_limited", concurrency: { a: 1 } });
  await createTask(db, template);
  await assert.rejects(
    db.transaction(async (sql) => {
      await claimStep(sql, template, "a");
      throw new Error("no");
    }),
  );
  await claimStep(db, template, "a");
});

test("the limits of steps are those of the last registration", async () => {
  const limitsOf = async (template: TestTemplate): Promise<unknown> => {
    const text = `select coalesce(jsonb_object_agg(s.name, l.max_running), '{}') as limits from tasker.concurrency_limits l
      join tasker.named_steps s on s.id = l.named_step_id where s.named_task_id = $1`;
    return (await onlyRow<{ limits: unknown }>(db, text, [template.namedTaskId])).limits;
  };
  const graph = { a: [], b: [], c: [] };
  const name = "registered";
  assert.deepEqual(await limitsOf(await register(db, graph, { name, concurrency: { a: 1, b: 2 } })), { a: 1, b: 2 });
  const changed = await register(db, graph, { name, concurrency: { b: 3, c: 4 } });
  assert.equal(changed.revision, 2);
  assert.deepEqual(await limitsOf(changed), { b: 3, c: 4 });
  assert.deepEqual(await limitsOf(await register(db, graph, { name })), {});
});

test("a limit that is none is refused before anything is written", async () => {
  for (const bad of [-1, 1.5, 1_000_001, Number.NaN]) {
    await assert.rejects(limitNamespace(db, "refused", bad), {
      message: `the concurrency limit of refused must be a whole number from 0 to 1000000, or null for none, got ${bad}`,
    });
  }
  await assert.rejects(limitNamespace(db, "No", 1), /a namespace must be 1 to 63 .*, got "No"/u);
  assert.deepEqual(await db.query({ text: "select from tasker.task_namespaces where name in ('refused', 'No')" }), []);
});
