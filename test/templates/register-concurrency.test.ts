import assert from "node:assert/strict";
import { after, test } from "node:test";

import { createTasks } from "../../src/engine/create-tasks.ts";
import { testDatabase } from "../support/database.ts";
import { deferred } from "../support/deferred.ts";
import { create, onlyRow, register, untilBlocked } from "../support/engine.ts";

const { db } = await testDatabase({ after });

const task = { input: "null", inputChecked: true };

/** How many rows there are of a template's kind. */
async function count(text: string, name: string): Promise<number> {
  return (await onlyRow<{ n: number }>(db, `select count(*) as n from ${text} and t.name = $1`, [name])).n;
}

const revisions = "tasker.named_task_revisions r join tasker.named_tasks t on t.id = r.named_task_id where true";

test("four connections that register one new template at once make one template and one revision", async () => {
  for (let round = 0; round < 5; round++) {
    const name = `race${round}`;
    const registered = await Promise.all(
      Array.from({ length: 4 }, () => register(db, { pack: [], send: ["pack"] }, { namespace: name, name })),
    );
    assert.equal(registered.filter(({ changed }) => changed).length, 1);
    assert.deepEqual(new Set(registered.map(({ revision }) => revision)), new Set([1]));
    assert.equal(new Set(registered.map(({ namedTaskId }) => namedTaskId)).size, 1);
    assert.equal(await count(revisions, name), 1);
    for (const { stepIds } of registered) assert.deepEqual(stepIds, registered[0]?.stepIds);
  }
});

test("registrations that wait in line make a revision each, numbered without gaps", async () => {
  const template = await register(db, { pack: [] }, { name: "line" });
  const [locked, release] = [deferred(), deferred()];
  const holding = db.transaction(async (sql) => {
    await sql.query({
      text: "select from tasker.named_tasks where id = $1 for update",
      values: [template.namedTaskId],
    });
    locked.resolve();
    await release.promise;
  });
  await locked.promise;
  const registering = [2, 3, 4].map((maxAttempts) =>
    register(db, { pack: [] }, { name: "line", retry: { maxAttempts } }),
  );
  await untilBlocked(db, 3);
  release.resolve();
  await holding;
  const registered = await Promise.all(registering);
  assert.deepEqual(
    registered.map(({ revision }) => revision).toSorted((x, y) => x - y),
    [2, 3, 4],
  );
});

test("a registration waits for creations under way; after it the old revision creates nothing any more", async () => {
  const old = await register(db, { pack: [] }, { name: "waits", retry: { maxAttempts: 1 } });
  const [created, commit] = [deferred(), deferred()];
  const creating = db.transaction(async (sql) => {
    await create(sql, old);
    created.resolve();
    await commit.promise;
  });
  await created.promise;
  let isRegistered = false;
  const registering = register(db, { pack: [] }, { name: "waits", retry: { maxAttempts: 2 } }).finally(() => {
    isRegistered = true;
  });
  await untilBlocked(db, 1);
  assert.equal(isRegistered, false);
  commit.resolve();
  await creating;
  const next = await registering;
  assert.equal(await createTasks(db, old, [task]), null);
  assert.equal((await createTasks(db, next, [task]))?.length, 1);
});

test("a registration that would change the graph sees the tasks of creations it had to wait for", async () => {
  const old = await register(db, { pack: [] }, { name: "sees" });
  const [created, commit] = [deferred(), deferred()];
  const creating = db.transaction(async (sql) => {
    await create(sql, old);
    created.resolve();
    await commit.promise;
  });
  await created.promise;
  const refused = assert.rejects(register(db, { wrap: [] }, { name: "sees" }), { code: "graph_changed" });
  await untilBlocked(db, 1);
  commit.resolve();
  await Promise.all([creating, refused]);
});

test("a creation that comes while a template is registered waits, and then finds its revision old", async () => {
  const old = await register(db, { pack: [] }, { name: "during" });
  const [locked, commit] = [deferred(), deferred()];
  const slow = db.transaction(async (sql) => {
    await sql.query({ text: "select 1 from tasker.named_tasks where id = $1 for update", values: [old.namedTaskId] });
    await sql.query({
      text: "update tasker.named_tasks set current_revision_id = null where id = $1",
      values: [old.namedTaskId],
    });
    locked.resolve();
    await commit.promise;
  });
  await locked.promise;
  const creating = createTasks(db, old, [task]);
  await untilBlocked(db, 1);
  commit.resolve();
  await slow;
  assert.equal(await creating, null);
});
