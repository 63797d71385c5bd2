import assert from "node:assert/strict";
import { after, test } from "node:test";

import { z } from "zod";

import { WakeUps } from "../../src/engine/wake-ups.ts";
import type { SubmitOptions } from "../../src/templates/submit-options.ts";
import { defineTask } from "../../src/workflow/define-task.ts";
import { MovedStore } from "../cache/moved-store.ts";
import { listen } from "../engine/notices.ts";
import { ManualClock } from "../support/clock.ts";
import { testDatabase } from "../support/database.ts";
import { onlyRow } from "../support/engine.ts";
import { templateSystem } from "./setup.ts";

const { db, url } = await testDatabase({ after });

const nothing = (): null => null;

/** The stored inputs of a template's tasks. */
async function inputsOf(name: string): Promise<{ input: unknown; checked: boolean }[]> {
  return db.query({
    text: `select t.input, t.input_checked as checked from tasker.tasks t join tasker.named_tasks n on n.id = t.named_task_id
      where n.name = $1 order by t.created_at, t.id`,
    values: [name],
  });
}

function named(name: string) {
  return { namespace: "shop", name, version: "1.0.0" };
}

test("a task of a registered template is created, with all that was said of it", async () => {
  const { registry, submitter } = templateSystem(db);
  await registry.register([defineTask(named("plain")).step("pack", nothing)]);
  const runAt = new Date("2030-01-01T00:00:00Z");
  const [task] = await submitter.submit(named("plain"), [
    { input: { a: new Date(0) }, idempotencyKey: "k", correlationId: "c", tags: ["t"], priority: 3, runAt },
  ]);
  assert.equal(task?.outcome, "created");
  const row = await onlyRow(
    db,
    "select input, input_checked, idempotency_key, correlation_id, tags, priority, run_at from tasker.tasks where id = $1",
    [task?.id],
  );
  assert.deepEqual(row, {
    input: { a: "1970-01-01T00:00:00.000Z" },
    input_checked: false,
    idempotency_key: "k",
    correlation_id: "c",
    tags: ["t"],
    priority: 3,
    run_at: "2030-01-01T00:00:00.000000Z",
  });
});

test("a template that nobody registered is an error that says who registers it, and nothing is remembered of it", async () => {
  const cache = new MovedStore(new ManualClock());
  const { submitter } = templateSystem(db, { cache });
  await assert.rejects(submitter.submit(named("unknown"), [{ input: 1 }]), {
    code: "unknown_template",
    message: "There is no template shop/unknown 1.0.0; a worker registers it when it starts",
  });
  assert.equal(cache.size, 0);
});

test("where the schema is known the input is checked, and stored as the schema gives it out", async () => {
  const { registry, submitter } = templateSystem(db);
  const input = z.object({ items: z.array(z.string()).min(1), at: z.coerce.date(), note: z.string().default("none") });
  await registry.register([defineTask({ ...named("checked"), input }).step("pack", nothing)]);
  await submitter.submit(named("checked"), [{ input: { items: ["x"], at: 0, unknown: true } }]);
  assert.deepEqual(await inputsOf("checked"), [
    { input: { items: ["x"], at: "1970-01-01T00:00:00.000Z", note: "none" }, checked: true },
  ]);
});

test("an input that the schema refuses names each place and reason, and none of its batch is created", async () => {
  const { registry, submitter } = templateSystem(db);
  const input = z.object({ items: z.array(z.string()), count: z.number() });
  await registry.register([defineTask({ ...named("refused"), input }).step("pack", nothing)]);
  const good = { items: [], count: 1 };
  await assert.rejects(submitter.submit(named("refused"), [{ input: good }, { input: { items: [1], count: "x" } }]), {
    code: "invalid_payload",
    message: /^the input of shop\/refused 1\.0\.0 is not valid: items\.0: .*; count: /u,
  });
  assert.deepEqual(await inputsOf("refused"), []);
});

test("an input that is not JSON is refused", async () => {
  const { registry, submitter } = templateSystem(db);
  await registry.register([defineTask(named("json")).step("pack", nothing)]);
  await assert.rejects(submitter.submit(named("json"), [{ input: { n: 1n } }]), {
    code: "invalid_payload",
    message: /^the input of shop\/json 1\.0\.0 is not JSON/u,
  });
});

test("options that the database could not store are refused with their name and what is allowed", async () => {
  const { registry, submitter } = templateSystem(db);
  await registry.register([defineTask(named("options")).step("pack", nothing)]);
  const text = (characters: number) => `a text of 1 to ${characters} characters without control characters`;
  const wrong: readonly (readonly [SubmitOptions, string])[] = [
    [{ idempotencyKey: "" }, `idempotencyKey of a task of shop/options 1.0.0 must be ${text(255)}`],
    [{ idempotencyKey: "x".repeat(256) }, `idempotencyKey of a task of shop/options 1.0.0 must be ${text(255)}`],
    [{ idempotencyKey: "a\0" }, `idempotencyKey of a task of shop/options 1.0.0 must be ${text(255)}`],
    [{ correlationId: "\uD83D" }, `correlationId of a task of shop/options 1.0.0 must be ${text(255)}`],
    [
      { tags: ["a", "b\n"] },
      "tags of a task of shop/options 1.0.0 must be at most 20 texts of 1 to 100 characters without control characters",
    ],
    [
      { tags: Array.from({ length: 21 }, () => "t") },
      "tags of a task of shop/options 1.0.0 must be at most 20 texts of 1 to 100 characters without control characters",
    ],
    [
      { priority: 32_768 },
      "priority of a task of shop/options 1.0.0 must be a whole number from -32768 to 32767, not 32768",
    ],
    [
      { priority: 0.5 },
      "priority of a task of shop/options 1.0.0 must be a whole number from -32768 to 32767, not 0.5",
    ],
    [{ runAt: new Date(Number.NaN) }, "runAt of a task of shop/options 1.0.0 must be a date from 1970 to 9999"],
    [{ runAt: new Date(8.64e15) }, "runAt of a task of shop/options 1.0.0 must be a date from 1970 to 9999"],
  ];
  for (const [options, message] of wrong) {
    const submitted = submitter.submit(named("options"), [{ input: 1 }, { input: 2, ...options }]);
    await assert.rejects(submitted, { code: "invalid_payload", message });
  }
  assert.deepEqual(await inputsOf("options"), []);
  await submitter.submit(named("options"), [
    {
      input: 1,
      idempotencyKey: "\u{1F600}".repeat(255),
      tags: Array.from({ length: 20 }, () => "t".repeat(100)),
      priority: -32_768,
    },
  ]);
});

test("a process without the schema leaves the check to the worker", async () => {
  const cache = new MovedStore(new ManualClock());
  const input = z.object({ count: z.number() });
  await templateSystem(db, { cache }).registry.register([
    defineTask({ ...named("remote"), input }).step("pack", nothing),
  ]);
  await templateSystem(db, { cache }).submitter.submit(named("remote"), [{ input: { count: "x" } }]);
  assert.deepEqual(await inputsOf("remote"), [{ input: { count: "x" }, checked: false }]);
});

test("a used key gives the first task, and with another input is a conflict that takes back its whole batch", async () => {
  const { registry, submitter } = templateSystem(db);
  await registry.register([defineTask(named("keys")).step("pack", nothing)]);
  const [first] = await submitter.submit(named("keys"), [{ input: 1, idempotencyKey: "k" }]);
  const [again] = await submitter.submit(named("keys"), [{ input: 1, idempotencyKey: "k" }]);
  assert.deepEqual(again, { id: first?.id, outcome: "existing" });
  await assert.rejects(submitter.submit(named("keys"), [{ input: 5 }, { input: 2, idempotencyKey: "k" }]), {
    code: "idempotency_conflict",
    message: 'The idempotency key "k" was used for shop/keys 1.0.0 before, with another input',
  });
  assert.deepEqual(await inputsOf("keys"), [{ input: 1, checked: false }]);
});

test("inside a caller's transaction the tasks come with its commit, and wake nobody before", async (t) => {
  const { registry, submitter, wakeUps } = templateSystem(db);
  await registry.register([defineTask(named("within")).step("pack", nothing)]);
  let woken = 0;
  t.after(wakeUps.onWork(() => (woken += 1)));
  const undone = new Error("undone");
  const rolledBack = db.transaction(async (sql) => {
    await submitter.submit(named("within"), [{ input: 1 }], sql);
    throw undone;
  });
  await assert.rejects(rolledBack, (error) => error === undone);
  await db.transaction(async (sql) => {
    await submitter.submit(named("within"), [{ input: 2 }], sql);
    assert.deepEqual(await inputsOf("within"), []);
  });
  assert.deepEqual(await inputsOf("within"), [{ input: 2, checked: false }]);
  assert.equal(woken, 0, "the notice that comes with the commit wakes this process, too");
});

test("a submission inside a caller's transaction is told to all workers when it commits", async (t) => {
  const { registry, submitter } = templateSystem(db);
  await registry.register([defineTask(named("told")).step("pack", nothing)]);
  const { next, waiting } = await listen(t, url);
  await db.transaction(async (sql) => {
    await submitter.submit(named("told"), [{ input: 1 }], sql);
    await WakeUps.notifyWithin(db, [999_999]);
    assert.equal(await next(), "work:999999");
    assert.equal(waiting(), 0);
  });
  const { id } = await onlyRow<{ id: number }>(db, "select id from tasker.task_namespaces where name = 'shop'");
  assert.equal(await next(), `work:${id}`);
});

test("a submission wakes the workers of this process with the namespace's id", async (t) => {
  const { registry, submitter, wakeUps } = templateSystem(db);
  await registry.register([defineTask(named("woken")).step("pack", nothing)]);
  const woken: (readonly number[])[] = [];
  t.after(wakeUps.onWork((ids) => woken.push(ids)));
  await submitter.submit(named("woken"), [{ input: 1 }]);
  const { id } = await onlyRow<{ id: number }>(db, "select id from tasker.task_namespaces where name = 'shop'");
  assert.deepEqual(woken, [[id]]);
});
