import assert from "node:assert/strict";
import { after, test } from "node:test";

import type { Database, Sql, Statement } from "../../src/postgres/sql.ts";
import { defineTask } from "../../src/workflow/define-task.ts";
import { testDatabase } from "../support/database.ts";
import { SharedCache, templateSystem } from "./setup.ts";

const { db } = await testDatabase({ after });

const nothing = (): null => null;

function named(name: string) {
  return { namespace: "shop", name, version: "1.0.0" };
}

test("a cached revision that is not current any more is noticed, forgotten, and read anew", async () => {
  const cache = new SharedCache();
  const [one, other] = [templateSystem(db, { cache }), templateSystem(db)];
  await one.registry.register([defineTask(named("old")).step("pack", { retry: { maxAttempts: 1 } }, nothing)]);
  await one.submitter.submit(named("old"), [{ input: 1 }]);
  const [before] = cache.entries.values();
  // Another process, which does not reach the cache of the first.
  await other.registry.register([defineTask(named("old")).step("pack", { retry: { maxAttempts: 2 } }, nothing)]);
  await one.submitter.submit(named("old"), [{ input: 2 }]);
  const [afterwards] = cache.entries.values();
  assert.notEqual(afterwards, before);
  const rows = await db.query({
    text: `select r.revision from tasker.tasks t join tasker.named_task_revisions r on r.id = t.revision_id
      join tasker.named_tasks n on n.id = t.named_task_id where n.name = 'old' order by t.created_at`,
  });
  assert.deepEqual(rows, [{ revision: 1 }, { revision: 2 }]);
});

test("a revision is read from the database once, then from the cache; what is broken in there is a miss", async () => {
  const cache = new SharedCache();
  let reads = 0;
  const counting = (sql: Sql): Sql => ({
    query: <Row extends object>(statement: Statement): Promise<Row[]> => {
      if (statement.name === "current_revision") reads += 1;
      return sql.query<Row>(statement);
    },
  });
  const counted: Database = {
    ...counting(db),
    transaction: (work, options) => db.transaction((sql) => work(counting(sql)), options),
    usage: () => db.usage(),
    close: () => Promise.resolve(),
  };
  const { registry, submitter } = templateSystem(counted, { cache });
  await registry.register([defineTask(named("cached")).step("pack", nothing)]);
  for (let i = 0; i < 3; i++) await submitter.submit(named("cached"), [{ input: i }]);
  assert.equal(reads, 1);
  const [key = ""] = cache.entries.keys();
  for (const broken of ["", "null", "{}", "[1]", '{"namedTaskId":1,"namespaceId":1,"revisionId":"x","stepCount":1}']) {
    cache.entries.set(key, broken);
    reads = 0;
    await submitter.submit(named("cached"), [{ input: broken }]);
    assert.equal(reads, 1, `${broken} is a miss`);
  }
});

test("registering a new revision forgets the old one in the shared cache", async () => {
  const cache = new SharedCache();
  const { registry, submitter, store } = templateSystem(db, { cache });
  await registry.register([defineTask(named("evicted")).step("pack", { timeoutMs: 1 }, nothing)]);
  await submitter.submit(named("evicted"), [{ input: 1 }]);
  assert.equal(cache.entries.size, 1);
  await registry.register([defineTask(named("evicted")).step("pack", { timeoutMs: 2 }, nothing)]);
  assert.equal(cache.entries.size, 0);
  const revision = await store.current(db, named("evicted"));
  assert.equal(revision?.revisionId, registry.steps.values().next().value?.registered.revisionId);
});
