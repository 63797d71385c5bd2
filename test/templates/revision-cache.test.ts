import assert from "node:assert/strict";
import { after, beforeEach, test } from "node:test";

import { openCaches } from "../../src/cache/caches.ts";
import { CacheStoreError } from "../../src/cache/errors.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { TemplateStore } from "../../src/templates/template-store.ts";
import { CacheKeys } from "../../src/cache/keys.ts";
import { defineTask } from "../../src/workflow/define-task.ts";
import type { TemplateName } from "../../src/workflow/template.ts";
import { openRedisCache } from "../cache/redis-support.ts";
import { RecordingMetrics } from "../cache/support.ts";
import { testDatabase } from "../support/database.ts";
import { sharedRedis } from "../support/redis.ts";
import { CountingReads } from "./counting-reads.ts";
import { templateKey, templateSystem, type TemplateSystem } from "./setup.ts";
import { WatchedCache } from "./watched-cache.ts";

const { db } = await testDatabase({ after });
const { url, admin } = await sharedRedis({ after });
const { provider } = await openRedisCache({ url, commandBudgetMs: 5_000 });
after(() => provider.close());
beforeEach(() => admin.flushdb());

const nothing = (): null => null;

function named(name: string): TemplateName {
  return { namespace: "shop", name, version: "1.0.0" };
}

/** Registers the template as one that differs from the others by its attempts. */
function register({ registry }: TemplateSystem, template: TemplateName, maxAttempts: number): Promise<void> {
  return registry.register([defineTask(template).step("pack", { retry: { maxAttempts } }, nothing)]);
}

/** The revisions of a template's tasks, in the order of their creation. */
async function revisionsOf(name: string): Promise<number[]> {
  const rows = await db.query<{ revision: number }>({
    text: `select r.revision from tasker.tasks t join tasker.named_task_revisions r on r.id = t.revision_id
      join tasker.named_tasks n on n.id = t.named_task_id where n.name = $1 order by t.created_at, t.id`,
    values: [name],
  });
  return rows.map(({ revision }) => revision);
}

test("a cached revision that is not current any more is noticed, forgotten, and read anew", async () => {
  const [one, other] = [templateSystem(db, { cache: provider }), templateSystem(db)];
  await register(one, named("old"), 1);
  await one.submitter.submit(named("old"), [{ input: 1 }]);
  assert.notEqual(await admin.get(templateKey(named("old"))), null);
  // Another process, which does not reach the cache of the first.
  await register(other, named("old"), 2);
  await one.submitter.submit(named("old"), [{ input: 2 }]);
  assert.equal(await admin.get(templateKey(named("old"))), null);
  assert.deepEqual(await revisionsOf("old"), [1, 2]);
  assert.deepEqual(one.metrics.requests, { "redis/templates/miss": 1, "redis/templates/hit": 1 });
});

test("a stale entry that cannot be deleted is read past: every creation succeeds, with the current revision", async () => {
  const cache = new WatchedCache(provider);
  const [one, other] = [templateSystem(db, { cache }), templateSystem(db)];
  await register(one, named("stuck"), 1);
  await one.submitter.submit(named("stuck"), [{ input: 1 }]);
  cache.around = (operation, run) =>
    operation === "invalidate" ? Promise.reject(new CacheStoreError("readonly", "a replica")) : run();
  await register(other, named("stuck"), 2);
  for (let i = 0; i < 3; i++) await one.submitter.submit(named("stuck"), [{ input: 2 }]);
  assert.deepEqual(await revisionsOf("stuck"), [1, 2, 2, 2]);
  // It was believed once. From then on this process has it pending and does not look.
  assert.deepEqual(one.metrics.requests, {
    "redis/templates/miss": 1,
    "redis/templates/hit": 1,
    "redis/templates/uncached": 2,
  });
});

test("a revision is read from the database once, then from the cache; what is broken in there is a miss", async () => {
  const counted = new CountingReads(db);
  const { registry, submitter, metrics } = templateSystem(counted, { cache: provider });
  await registry.register([defineTask(named("cached")).step("pack", nothing)]);
  for (let i = 0; i < 3; i++) await submitter.submit(named("cached"), [{ input: i }]);
  assert.equal(counted.reads, 1);
  assert.deepEqual(metrics.requests, { "redis/templates/miss": 1, "redis/templates/hit": 2 });
  const key = templateKey(named("cached"));
  const born = (await admin.get(key))?.split("\n")[0] ?? "";
  const bodies = ["", "null", "{}", "[1]", '{"namedTaskId":1,"namespaceId":1,"revisionId":"x","stepCount":1}'];
  for (const broken of ["no frame", ...bodies.map((body) => `${born}\n${body}`)]) {
    await admin.set(key, broken, "PX", 60_000);
    counted.reads = 0;
    for (let i = 0; i < 2; i++) await submitter.submit(named("cached"), [{ input: broken }]);
    assert.equal(counted.reads, 1, `${broken} is a miss, once`);
  }
  // What has no frame was not filled by anybody: the store itself takes it for nothing.
  assert.deepEqual(metrics.errors, { "redis/templates/undecodable": bodies.length });
});

test("an entry lives for its time to live, and a lease is given back with the fill", async () => {
  const { store } = templateSystem(db, { cache: provider });
  await register(templateSystem(db), named("lives"), 1);
  await store.current(named("lives"));
  const left = await admin.pttl(templateKey(named("lives")));
  assert.ok(left > 50_000 && left <= 60_000, String(left));
  assert.deepEqual(await admin.keys("*"), [templateKey(named("lives"))]);
});

test("of a template that is not registered nothing is kept, no lease either", async () => {
  const { store } = templateSystem(db, { cache: provider });
  assert.equal(await store.current(named("unknown")), null);
  assert.deepEqual(await admin.keys("*"), []);
});

test("registering forgets the cached revision, for a registration that finds nothing to change too", async () => {
  const system = templateSystem(db, { cache: provider });
  await register(system, named("evicted"), 1);
  await system.store.current(named("evicted"));
  assert.deepEqual(await admin.keys("*"), [templateKey(named("evicted"))]);
  // Another registered it, and is about to delete the entry: who registers the same returns first, and its call counts.
  await register(templateSystem(db), named("evicted"), 2);
  await register(system, named("evicted"), 2);
  assert.deepEqual(await admin.keys("*"), []);
  const revision = await system.store.current(named("evicted"));
  assert.equal(revision?.revisionId, system.registry.steps.values().next().value?.registered.revisionId);
});

test("a definition that is registered back gets a revision of its own, which is the one that is found", async () => {
  const system = templateSystem(db, { cache: provider });
  const seen = new Set<number | undefined>();
  for (const attempts of [1, 2, 1]) {
    await register(system, named("back"), attempts);
    await system.submitter.submit(named("back"), [{ input: attempts }]);
    seen.add((await system.store.current(named("back")))?.revisionId);
  }
  assert.equal(seen.size, 3);
  assert.deepEqual(await revisionsOf("back"), [1, 2, 3]);
});

test("readers share nothing: of many at once each asks redis, and on a miss each asks Postgres", async () => {
  const counted = new CountingReads(db);
  const { store, metrics } = templateSystem(counted, { cache: provider });
  await register(templateSystem(db), named("crowd"), 1);
  const crowd = (): Promise<unknown> => Promise.all(Array.from({ length: 20 }, () => store.current(named("crowd"))));
  // All miss before the first of them can have filled.
  await crowd();
  assert.equal(counted.reads, 20);
  assert.deepEqual(metrics.requests, { "redis/templates/miss": 20 });
  await crowd();
  assert.equal(counted.reads, 20);
  assert.deepEqual(metrics.requests, { "redis/templates/miss": 20, "redis/templates/hit": 20 });
  assert.equal(metrics.leaseWaits, 0);
});

test("nobody waits for another reader's lease, which another process holds", async () => {
  const counted = new CountingReads(db);
  const { store } = templateSystem(counted, { cache: provider });
  await register(templateSystem(db), named("held"), 1);
  const lease = { token: "another", leaseMs: 60_000, knownBornMs: undefined, maxAgeMs: 60_000 };
  assert.equal((await provider.claim(templateKey(named("held")), lease)).state, "granted");
  for (let i = 0; i < 3; i++) assert.notEqual(await store.current(named("held")), null);
  assert.equal(counted.reads, 3);
  assert.equal(await admin.get(templateKey(named("held"))), null, "no lease, no write");
});

test("what a caller's transaction reads is never cached, however old what it sees is", async () => {
  const counted = new CountingReads(db);
  const { submitter } = templateSystem(counted, { cache: provider });
  await register(templateSystem(db), named("within"), 1);
  await db.transaction((sql) => submitter.submit(named("within"), [{ input: 1 }], sql));
  assert.deepEqual(await admin.keys("*"), []);

  // A transaction whose picture of the database was taken before the registration.
  const outdated = db.transaction(
    async (sql) => {
      await sql.query({ text: "select 1 from tasker.named_tasks" });
      await register(templateSystem(db, { cache: provider }), named("within"), 2);
      await submitter.submit(named("within"), [{ input: 2 }], sql);
    },
    { isolation: "repeatable read" },
  );
  // "could not serialize access": the caller's to repeat.
  await assert.rejects(outdated, { code: "40001" });
  assert.deepEqual(await admin.keys("*"), []);
  assert.deepEqual(await revisionsOf("within"), [1]);
});

test("a transaction with an old picture cannot make a task of what it sees, when the cache is newer than that", async () => {
  const { submitter, store } = templateSystem(db, { cache: provider });
  await register(templateSystem(db), named("newer"), 1);
  const outdated = db.transaction(
    async (sql) => {
      await sql.query({ text: "select 1 from tasker.named_tasks" });
      await register(templateSystem(db), named("newer"), 2);
      await store.current(named("newer"));
      await submitter.submit(named("newer"), [{ input: 2 }], sql);
    },
    { isolation: "repeatable read" },
  );
  await assert.rejects(outdated, { code: "40001" });
  assert.deepEqual(await revisionsOf("newer"), []);
});

test("a batch that may have something to take back reads its revision outside of its transaction, and fills", async () => {
  const counted = new CountingReads(db);
  const { submitter } = templateSystem(counted, { cache: provider });
  await register(templateSystem(db), named("batch"), 1);
  for (const keys of [
    ["a", "b"],
    ["c", "d"],
  ]) {
    await submitter.submit(
      named("batch"),
      keys.map((idempotencyKey) => ({ input: 1, idempotencyKey })),
    );
  }
  assert.equal(counted.reads, 1);
  assert.deepEqual(await revisionsOf("batch"), [1, 1, 1, 1]);
});

test("with the memory of a process as the cache nothing of templates is kept, and each read is counted as uncached", async (t) => {
  const counted = new CountingReads(db);
  const metrics = new RecordingMetrics();
  const about = { clock: systemClock, logger: silentLogger, metrics };
  const memory = { entriesMax: 100, bytesMax: 1_000_000 };
  const caches = openCaches({ ...about, backend: "memory", chosen: true, memory });
  t.after(() => caches.close());
  const store = new TemplateStore({
    ...about,
    database: counted,
    cache: caches.templates,
    keys: new CacheKeys("test"),
    ttlMs: 60_000,
  });
  await register(templateSystem(db), named("memory"), 1);
  for (let i = 0; i < 3; i++) await store.current(named("memory"));
  assert.equal(counted.reads, 3);
  assert.deepEqual(metrics.requests, { "none/templates/uncached": 3 });
  const health = await caches.health();
  assert.deepEqual(
    health.map(({ context, provider: name, figures }) => [context, name, figures["entries"]]),
    [
      ["analytics", "memory", 0],
      ["templates", "none", undefined],
    ],
  );
});

test("with redis as the cache, its health has the templates once, and so have the errors by their reasons", async (t) => {
  const metrics = new RecordingMetrics();
  const about = { clock: systemClock, logger: silentLogger, metrics };
  const redis = { url: "redis://127.0.0.1:1", database: 0, connectTimeoutMs: 100, commandBudgetMs: 25 };
  const memory = { entriesMax: 100, bytesMax: 1_000_000 };
  const caches = openCaches({ ...about, backend: "redis", chosen: true, memory, redis });
  t.after(() => caches.close());
  const keys = new CacheKeys("test");
  const store = new TemplateStore({ ...about, database: db, cache: caches.templates, keys, ttlMs: 60_000 });
  t.after(async () => store.stop());
  await register(templateSystem(db), named("away"), 1);
  assert.notEqual(await store.current(named("away")), null);
  assert.deepEqual(metrics.requests, { "redis/templates/miss": 1 });
  assert.deepEqual(metrics.errors, { "redis/templates/not_ready": 1 });
  const uses = (await caches.health()).map(({ context, provider: name, healthy }) => [context, name, healthy]);
  assert.deepEqual(uses, [
    ["analytics", "memory", true],
    ["analytics", "redis", false],
    ["templates", "redis", false],
  ]);
});
