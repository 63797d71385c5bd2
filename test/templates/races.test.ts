import assert from "node:assert/strict";
import { after, beforeEach, test, type TestContext } from "node:test";

import { CacheStoreError } from "../../src/cache/errors.ts";
import type { Database, Sql, Statement } from "../../src/postgres/sql.ts";
import { decodeRevision } from "../../src/templates/current-revision.ts";
import { defineTask } from "../../src/workflow/define-task.ts";
import type { TemplateName } from "../../src/workflow/template.ts";
import { testDatabase } from "../support/database.ts";
import { deferred } from "../support/deferred.ts";
import { onlyRow } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { startRedis } from "../support/redis.ts";
import { cutRedis, mendRedis, type Process, startListening, startTemplateProcess, untilHeard } from "./processes.ts";
import { templateKey, templateSystem, type TemplateSystem } from "./setup.ts";

const { db, url: databaseUrl } = await testDatabase({ after });
const redis = await startRedis({ after });
const { admin } = redis;
beforeEach(() => admin.flushdb());

const nothing = (): null => null;

function named(name: string): TemplateName {
  return { namespace: "shop", name, version: "1.0.0" };
}

function register({ registry }: TemplateSystem, template: TemplateName, maxAttempts: number): Promise<void> {
  return registry.register([defineTask(template).step("pack", { retry: { maxAttempts } }, nothing)]);
}

function startProcess(t: TestContext): Promise<Process> {
  return startTemplateProcess(t, { db, databaseUrl, redis });
}

/** The id of the current revision, by Postgres. */
async function currentId({ name }: TemplateName): Promise<number> {
  const text = "select current_revision_id as id from tasker.named_tasks where name = $1";
  return (await onlyRow<{ id: number }>(db, text, [name])).id;
}

/** The id of the revision that redis holds, if it holds one. */
async function cachedId(template: TemplateName): Promise<number | undefined> {
  const text = await admin.get(templateKey(template));
  if (text === null) return undefined;
  return decodeRevision(text.slice(text.indexOf("\n") + 1))?.revisionId;
}

/** Resolves when redis holds the revision, or none, as asked. */
function untilCached(template: TemplateName, id: number | undefined): Promise<unknown> {
  return eventually(
    `redis holds ${id}`,
    () => cachedId(template),
    (cached) => cached === id,
  );
}

/** A database whose registrations tell nobody. */
function mute(inner: Database): Database {
  const muted = (sql: Sql): Sql => ({
    query: async <Row extends object>(statement: Statement): Promise<Row[]> =>
      statement.text.includes("pg_notify") ? [] : sql.query<Row>(statement),
  });
  return {
    ...muted(inner),
    transaction: (work, options) => inner.transaction((sql) => work(muted(sql)), options),
    usage: () => inner.usage(),
    close: () => Promise.resolve(),
  };
}

/** Lets a reader that has missed read Postgres and holds back its fill; `go` lets that go on. */
function holdFill({ cache }: Process): { readonly reached: Promise<void>; readonly go: () => void } {
  const [reached, released] = [deferred(), deferred()];
  cache.around = async (operation, run) => {
    if (operation === "fill") {
      reached.resolve();
      await released.promise;
    }
    return run();
  };
  return { reached: reached.promise, go: released.resolve };
}

test("a reader that loaded the old template before a registration cannot fill it afterwards", async (t) => {
  const [reader, other] = [await startProcess(t), await startProcess(t)];
  await register(other, named("fenced"), 1);
  const old = await currentId(named("fenced"));
  const fill = holdFill(reader);
  const reading = reader.store.current(named("fenced"));
  await fill.reached;
  await register(other, named("fenced"), 2);
  fill.go();
  assert.equal((await reading)?.revisionId, old, "what it read was right when it read it");
  assert.equal(await cachedId(named("fenced")), undefined);
  assert.deepEqual(await admin.keys("*"), [], "no lease is left either");
  await other.store.current(named("fenced"));
  assert.equal(await cachedId(named("fenced")), await currentId(named("fenced")));
});

test("control: deleting the entry without its lease lets the old template be filled", async (t) => {
  const [reader, other] = [await startProcess(t), await startProcess(t)];
  await register(other, named("unfenced"), 1);
  const old = await currentId(named("unfenced"));
  const fill = holdFill(reader);
  const reading = reader.store.current(named("unfenced"));
  await fill.reached;
  // As the invalidation of a plain cache-aside does it.
  const plain = templateSystem(db);
  await register(plain, named("unfenced"), 2);
  await admin.del(templateKey(named("unfenced")));
  fill.go();
  await reading;
  assert.equal(await cachedId(named("unfenced")), old);
});

test("a reader slower than its lease does not fill, not even after another has", async (t) => {
  const [slow, quick] = [await startProcess(t), await startProcess(t)];
  await register(quick, named("slow"), 1);
  const fill = holdFill(slow);
  const reading = slow.store.current(named("slow"));
  await fill.reached;
  await admin.del(`${templateKey(named("slow"))}:lease`);
  await register(templateSystem(db), named("slow"), 2);
  await quick.store.current(named("slow"));
  fill.go();
  await reading;
  assert.equal(await cachedId(named("slow")), await currentId(named("slow")));
});

test("an invalidation that falls into an outage of redis is made up for by who registered, when redis is back", async (t) => {
  const process = await startProcess(t);
  await register(process, named("outage"), 1);
  await process.store.current(named("outage"));
  const old = await currentId(named("outage"));
  await cutRedis(process);
  await register(process, named("outage"), 2);
  assert.equal(await cachedId(named("outage")), old, "nobody could delete it");
  await process.submitter.submit(named("outage"), [{ input: 1 }]);
  await mendRedis(process);
  await untilCached(named("outage"), undefined);
});

test("when who registered is gone, the processes that heard of it make up for it", async (t) => {
  const heard = await startProcess(t);
  await register(heard, named("heard"), 1);
  await startListening(heard);
  await heard.store.current(named("heard"));
  const old = await currentId(named("heard"));
  await cutRedis(heard);
  // A process that has no way to redis at all, and ends.
  await register(templateSystem(db), named("heard"), 2);
  await untilHeard(heard, "heard");
  assert.equal(await cachedId(named("heard")), old);
  await mendRedis(heard);
  await untilCached(named("heard"), undefined);
});

test("control: without the notice the stale entry stays; a task is not made of it all the same", async (t) => {
  const process = await startProcess(t);
  for (const name of ["silent", "told"]) await register(process, named(name), 1);
  await startListening(process);
  for (const name of ["silent", "told"]) await process.store.current(named(name));
  const old = await currentId(named("silent"));
  await cutRedis(process);
  await register(templateSystem(mute(db)), named("silent"), 2);
  await register(templateSystem(db), named("told"), 2);
  await untilHeard(process, "told");
  await mendRedis(process);
  await untilCached(named("told"), undefined);
  assert.equal(await cachedId(named("silent")), old);
  const [task] = await process.submitter.submit(named("silent"), [{ input: 1 }]);
  const { id } = await onlyRow<{ id: number }>(db, "select revision_id as id from tasker.tasks where id = $1", [
    task?.id,
  ]);
  assert.equal(id, await currentId(named("silent")));
  assert.equal(await cachedId(named("silent")), undefined, "who met it has deleted it");
});

test("while an invalidation is pending the process does not believe redis, and others do not wait for it", async (t) => {
  const [broken, other] = [await startProcess(t), await startProcess(t)];
  await register(broken, named("pending"), 1);
  await broken.store.current(named("pending"));
  const old = await currentId(named("pending"));
  let refusing = true;
  broken.cache.around = (operation, run) =>
    operation === "invalidate" && refusing ? Promise.reject(new CacheStoreError("readonly", "a replica")) : run();
  await register(broken, named("pending"), 2);
  assert.equal(await cachedId(named("pending")), old);
  assert.notEqual((await broken.store.current(named("pending")))?.revisionId, old);
  assert.equal(broken.metrics.requests["redis/templates/uncached"], 1);
  // It has not heard: what creates tasks finds out.
  assert.equal((await other.store.current(named("pending")))?.revisionId, old);
  refusing = false;
  await untilCached(named("pending"), undefined);
  const newest = await currentId(named("pending"));
  // The registration and its notice invalidate one after the other: what is filled between them goes once more.
  await eventually(
    "redis has the new one",
    async () => {
      await broken.store.current(named("pending"));
      return cachedId(named("pending"));
    },
    (id) => id === newest,
  );
});

test("who did not listen for a while looks through the cache: what differs from Postgres goes, and only that", async (t) => {
  const process = await startProcess(t);
  for (const name of ["missed", "kept"]) await register(process, named(name), 1);
  for (const name of ["missed", "kept"]) await process.store.current(named(name));
  await startListening(process);
  assert.notEqual(await cachedId(named("missed")), undefined, "a start deletes nothing that is right");
  await process.listener.stop();
  await register(templateSystem(db), named("missed"), 2);
  await process.listener.start();
  await untilHeard(process, "review", 2);
  assert.equal(await cachedId(named("missed")), undefined);
  assert.equal(await cachedId(named("kept")), await currentId(named("kept")));
  assert.ok(!process.heard.includes("missed"), "no notice of it has come");
});

test("a lost connection of the listener is such a while", async (t) => {
  const process = await startProcess(t);
  await register(process, named("lost"), 1);
  await startListening(process);
  await db.query({
    text: `select pg_terminate_backend(pid, 10000) from pg_stat_activity
      where datname = current_database() and application_name = 'tasker listener tasker'`,
  });
  await untilHeard(process, "review", 2);
  await register(templateSystem(db), named("lost"), 2);
  await untilHeard(process, "lost");
});

test("a look through the cache that falls into an outage happens when redis is back; as long nothing is believed", async (t) => {
  const process = await startProcess(t);
  await register(process, named("later"), 1);
  await process.store.current(named("later"));
  const old = await currentId(named("later"));
  await register(templateSystem(db), named("later"), 2);
  await cutRedis(process);
  await startListening(process);
  await process.store.current(named("later"));
  assert.equal(process.metrics.requests["redis/templates/uncached"], 1);
  assert.equal(await cachedId(named("later")), old);
  await mendRedis(process);
  await untilCached(named("later"), undefined);
});
