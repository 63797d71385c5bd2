import assert from "node:assert/strict";
import { after, test } from "node:test";

import { cancelTask } from "../../src/engine/operate.ts";
import { composeListener } from "../../src/app/compose.ts";
import { noticeChannel, notifyTemplate, parseNotice, WakeUps } from "../../src/engine/wake-ups.ts";
import { type Logger, silentLogger } from "../../src/runtime/logging.ts";
import { ManualClock } from "../support/clock.ts";
import { deferred } from "../support/deferred.ts";
import { testDatabase } from "../support/database.ts";
import { createTask, register } from "../support/engine.ts";
import { CountingSql } from "./counting-sql.ts";
import { listen } from "./notices.ts";

const { db, url } = await testDatabase({ after });

test("a wake-up reaches the listeners of this process at once, and others by a notice", async (t) => {
  const { next } = await listen(t, url);
  const clock = new ManualClock();
  const wakeUps = new WakeUps(db, clock, silentLogger);
  const woken: (readonly number[])[] = [];
  const unsubscribe = wakeUps.onWork((ids) => woken.push(ids));
  wakeUps.wake([7]);
  assert.deepEqual(woken, [[7]]);
  await clock.advance(5);
  assert.equal(await next(), `work:7:${wakeUps.senderId}`);
  unsubscribe();
  wakeUps.wake([8]);
  assert.deepEqual(woken, [[7]]);
});

test("a process looks for work that others tell of, and not again for what it told of itself", async (t) => {
  const [own, other] = [new ManualClock(), new ManualClock()];
  const [wakeUps, elsewhere] = [own, other].map((clock) => new WakeUps(db, clock, silentLogger));
  assert.ok(wakeUps !== undefined && elsewhere !== undefined);
  let nudged = deferred();
  let nudges = 0;
  const worker = { nudge: () => ((nudges += 1), nudged.resolve()), abortTask: () => {} };
  const templates = { evict: () => Promise.resolve(), reviewAll: () => Promise.resolve() };
  const listener = composeListener({ logger: silentLogger, wakeUps }, url, templates, worker);
  await listener.start();
  t.after(() => listener.stop());
  const { next } = await listen(t, url);
  // It looks for what it may have missed when it begins to listen.
  nudges = 0;
  nudged = deferred();
  wakeUps.wake([7]);
  await own.advance(5);
  assert.equal(await next(), `work:7:${wakeUps.senderId}`);
  // Notices arrive in the order of commits.
  elsewhere.wake([7]);
  await other.advance(5);
  await nudged.promise;
  assert.equal(nudges, 1);
});

test("however often a namespace is woken, one notice goes out in five milliseconds", async () => {
  const clock = new ManualClock();
  const sql = new CountingSql(db);
  const wakeUps = new WakeUps(sql, clock, silentLogger);
  for (const ids of [[1], [2, 1], [], [1]]) wakeUps.wake(ids);
  await clock.advance(4.9);
  assert.equal(sql.asked.length, 0);
  await clock.advance(0.1);
  await sql.answered(1);
  assert.deepEqual(
    sql.asked.map(({ values }) => values?.slice(0, 2)),
    [[noticeChannel, [1, 2]]],
  );
  wakeUps.wake([3]);
  await clock.advance(5);
  assert.deepEqual(
    sql.asked.map(({ values }) => values?.[1]),
    [[1, 2], [3]],
  );
});

test("waking nobody asks nothing", async () => {
  const clock = new ManualClock();
  const sql = new CountingSql(db);
  new WakeUps(sql, clock, silentLogger).wake([]);
  await clock.advance(100);
  assert.equal(sql.asked.length, 0);
});

test("notices that cannot be sent are survived, and said once until they can be sent again", async () => {
  const clock = new ManualClock();
  const sql = new CountingSql(db);
  let warnings = 0;
  const logger: Logger = { ...silentLogger, warn: () => void (warnings += 1) };
  const wakeUps = new WakeUps(sql, clock, logger);
  const send = async (): Promise<void> => {
    wakeUps.wake([1]);
    await clock.advance(5);
    await sql.answered(sql.asked.length);
  };
  sql.isDown = true;
  await send();
  await send();
  assert.equal(warnings, 1);
  sql.isDown = false;
  await send();
  sql.isDown = true;
  await send();
  assert.equal(warnings, 2);
});

test("nothing is sent after the close", async () => {
  const clock = new ManualClock();
  const sql = new CountingSql(db);
  const wakeUps = new WakeUps(sql, clock, silentLogger);
  wakeUps.wake([1]);
  wakeUps.close();
  await clock.advance(5);
  wakeUps.wake([2]);
  await clock.advance(5);
  assert.equal(sql.asked.length, 0);
});

test("a notice from within a transaction comes with its commit, and not at all with its rollback", async (t) => {
  const { next, waiting } = await listen(t, url);
  const undone = new Error("undone");
  const rolledBack = db.transaction(async (sql) => {
    await WakeUps.notifyWithin(sql, [1]);
    throw undone;
  });
  await assert.rejects(rolledBack, (error) => error === undone);
  await db.transaction(async (sql) => {
    await WakeUps.notifyWithin(sql, [2, 3]);
    // Notices arrive in the order of commits: this one would come after those, had they been sent.
    await WakeUps.notifyWithin(db, [9]);
    assert.equal(await next(), "work:9");
    assert.equal(waiting(), 0);
  });
  assert.deepEqual([await next(), await next()], ["work:2", "work:3"]);
});

test("a cancellation tells the workers which task it was", async (t) => {
  const task = await createTask(db, await register(db, { a: [] }));
  const { next } = await listen(t, url);
  await cancelTask(db, task, { actor: "test", reason: "" });
  assert.deepEqual(parseNotice(await next()), { kind: "cancelled", id: task });
});

test("a notice of a template comes with the commit and names it, however long its names are", async (t) => {
  const { next } = await listen(t, url);
  const template = { namespace: "n".repeat(63), name: "t".repeat(128), version: "1".repeat(64) };
  await db.transaction((sql) => notifyTemplate(sql, template));
  assert.deepEqual(parseNotice(await next()), { kind: "template", template });
});

test("a notice of somebody else on the channel is none of ours", () => {
  assert.deepEqual(parseNotice("work:5"), { kind: "work", id: "5", sender: undefined });
  assert.deepEqual(parseNotice("work:5:me"), { kind: "work", id: "5", sender: "me" });
  for (const payload of [
    "",
    "hello:5",
    "template",
    "template:shop",
    "template:shop:order",
    "template:shop:order:1:2",
  ]) {
    assert.equal(parseNotice(payload), null, payload);
  }
});
