import assert from "node:assert/strict";
import { after, test } from "node:test";

import { foldOnce } from "../../src/analytics/fold.ts";
import { Elections } from "../../src/engine/leadership.ts";
import { type Chore, Maintenance } from "../../src/engine/maintenance.ts";
import { rescueChore } from "../../src/engine/rescue.ts";
import type { Settled } from "../../src/engine/settle.ts";
import type { Sql } from "../../src/postgres/sql.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { ManualClock } from "../support/clock.ts";
import { testDatabase } from "../support/database.ts";
import { deferred } from "../support/deferred.ts";
import { claim, createTask, moveClock, onlyRow, register, stopClock } from "../support/engine.ts";
import { CountingSql } from "./counting-sql.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

test("of several processes one leads, until its lease ends; the next has a higher fence", async () => {
  const [one, other] = [new Elections(db, 10_000), new Elections(db, 10_000)];
  const first = await one.lead("sweep");
  assert.deepEqual([first?.service, first?.fence], ["sweep", 1]);
  assert.equal(await other.lead("sweep"), null);
  await moveClock(db, 8);
  assert.equal((await one.lead("sweep"))?.fence, 1, "renewing changes nothing but the end");
  await moveClock(db, 10);
  assert.equal(await other.lead("sweep"), null, "the lease ends now, it is not over yet");
  await moveClock(db, 0.001);
  const second = await other.lead("sweep");
  assert.equal(second?.fence, 2);
  assert.notEqual(second?.owner, first?.owner);
  assert.equal(await one.lead("sweep"), null);
});

test("each chore has a leader of its own", async () => {
  const [one, other] = [new Elections(db, 10_000), new Elections(db, 10_000)];
  assert.ok(await one.lead("sweep a"));
  assert.ok(await other.lead("sweep b"));
});

test("a process that resigns is followed at once, and a resignation of another's chore changes nothing", async () => {
  const [one, other] = [new Elections(db, 10_000), new Elections(db, 10_000)];
  await one.lead("sweep c");
  await other.resign(["sweep c"]);
  assert.equal(await other.lead("sweep c"), null);
  await one.resign(["sweep c"]);
  assert.equal((await other.lead("sweep c"))?.fence, 2);
});

test("of many that stand for election at once exactly one wins", async () => {
  const leaders = await Promise.all(Array.from({ length: 10 }, () => new Elections(db, 10_000).lead("sweep d")));
  assert.equal(leaders.filter((leadership) => leadership !== null).length, 1);
});

test("a fold of a leader that was replaced folds nothing, that of the leader does", async () => {
  const template = await register(db, { a: [] });
  await createTask(db, template);
  const before = await onlyRow(db, "select watermark from tasker.fold_state");
  const [one, other] = [new Elections(db, 10_000), new Elections(db, 10_000)];
  const former = await one.lead("fold");
  await one.resign(["fold"]);
  const present = await other.lead("fold");
  assert.ok(former && present);
  assert.deepEqual(await foldOnce(db, former, 1000), { folded: 0, more: false });
  assert.deepEqual(await onlyRow(db, "select watermark from tasker.fold_state"), before);
  assert.ok((await foldOnce(db, present, 1000)).folded > 0);
});

/** A chore whose runs the test awaits and answers. */
function chore(name: string) {
  const runs: { readonly answer: (more: boolean) => void }[] = [];
  let begun = deferred();
  const watched: Chore = {
    name,
    intervalMs: 1000,
    runOnce() {
      const answer = deferred<boolean>();
      runs.push({ answer: answer.resolve });
      begun.resolve();
      begun = deferred();
      return answer.promise;
    },
  };
  return { chore: watched, runs, next: () => begun.promise };
}

function maintenance(clock: ManualClock, chores: readonly Chore[], sql: Sql = db): Maintenance {
  return new Maintenance({ sql, chores, leaderLeaseMs: 10_000, clock, logger: silentLogger });
}

test("a chore that has more to do runs again at once, otherwise after its interval", async (t) => {
  const clock = new ManualClock();
  const watched = chore("more");
  const service = maintenance(clock, [watched.chore]);
  t.after(() => service.stop());
  const begun = watched.next();
  await service.start();
  await begun;
  const again = watched.next();
  watched.runs[0]?.answer(true);
  await again;
  assert.equal(watched.runs.length, 2);
  watched.runs[1]?.answer(false);
  await clock.advance(999);
  assert.equal(watched.runs.length, 2);
  const later = watched.next();
  await clock.advance(1);
  await later;
  watched.runs[2]?.answer(false);
});

test("a process that does not lead a chore leaves it alone, and takes over from one that stopped", async (t) => {
  const clock = new ManualClock();
  const [mine, others] = [chore("shared"), chore("shared")];
  const leader = maintenance(clock, [mine.chore]);
  const begun = mine.next();
  await leader.start();
  await begun;
  const sql = new CountingSql(db);
  const follower = maintenance(clock, [others.chore], sql);
  t.after(() => follower.stop());
  await follower.start();
  await sql.answered(1);
  mine.runs[0]?.answer(false);
  await leader.stop();
  assert.equal(others.runs.length, 0);
  const taken = others.next();
  await clock.advance(1000);
  await taken;
  assert.equal(others.runs.length, 1);
  others.runs[0]?.answer(false);
});

test("the rescue chore tells what followed, and has more to do after a full batch", async () => {
  const template = await register(db, { a: [] }, { name: "rescued", retry: { maxAttempts: 2 } });
  const told: Settled[] = [];
  const rescue = rescueChore({
    sql: db,
    intervalMs: 1,
    logger: silentLogger,
    onRescued: (settled) => told.push(settled),
  });
  const leadership = await new Elections(db, 10_000).lead("rescue");
  assert.ok(leadership);
  assert.equal(await rescue.runOnce(leadership), false);
  assert.equal(told.length, 0);
  await createTask(db, template);
  const [held] = await claim(db, template, { leaseSeconds: 1 });
  await moveClock(db, 2);
  assert.equal(await rescue.runOnce(leadership), false);
  assert.deepEqual(
    told.map(({ accepted, wakeNamespaces }) => [[...accepted], wakeNamespaces]),
    [[[held?.stepId], [template.namespaceId]]],
  );
});
