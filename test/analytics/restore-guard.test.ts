import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { adoptCluster } from "../../src/analytics/restore-guard.ts";
import { migrate } from "../../src/postgres/migrate.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { recordingLogger } from "../http/recording-logger.ts";
import { clusterUrl, startTestCluster, type TestCluster } from "../support/cluster.ts";
import { openTestPool, type Scope, testDatabase } from "../support/database.ts";
import { debianMajor, debianPostgres, startDebianCluster } from "../support/debian-postgres.ts";
import { createTask, foldAll, onlyRow, register, runStep, type TestTemplate } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { startTasker } from "../support/tasker-process.ts";
import { traceAll } from "./critical-path.ts";
import { checkWindow, readFacts } from "./recount.ts";
import { defaultBottlenecks } from "../../src/analytics/parameters.ts";
import { analyticsOf, figuresOf } from "./support.ts";

/**
 * The embedded Postgres comes without pg_dump, so its rows are copied; of a cluster of Debian's Postgres, on which the long tests run
 * this file too, a real dump is made with its programs and restored into another one.
 */
const isDebians = (await versionOf(await clusterUrl())) === debianMajor;
let fresh: TestCluster;
before(async () => {
  fresh = await (isDebians ? startDebianCluster() : startTestCluster());
});
after(() => fresh.stop());

interface Source {
  readonly url: string;
  readonly db: Database;
  readonly template: TestTemplate;
}

/** Lets transaction ids pass, so that this cluster's counter stands above a fresh one's. */
async function passTransactions(db: Database, count: number): Promise<void> {
  await db.query({
    text: `do $$ begin for i in 1..${count} loop perform pg_current_xact_id(); commit; end loop; end $$`,
  });
}

async function counterOf(db: Database): Promise<number> {
  return (await onlyRow<{ xid: number }>(db, "select pg_current_xact_id()::text::bigint as xid")).xid;
}

async function completeTask(db: Database, template: TestTemplate): Promise<void> {
  await createTask(db, template);
  await runStep(db, template, "pack");
}

/**
 * A database with four tasks: folded and traced, of a transaction that was open then, not folded yet, and of one that is open
 * while `dump` copies it.
 */
async function withSource(scope: Scope, dump: (source: Source) => Promise<void>): Promise<Source> {
  const { url, db } = await testDatabase(scope);
  const template = await register(db, { pack: [] });
  const source = { url, db, template };
  await completeTask(db, template);
  await passTransactions(db, 5000);
  await db.transaction(async (late) => {
    await createTask(late, template);
    await runStep(late, template, "pack");
    await completeTask(db, template);
    await foldAll(db);
    await traceAll(db);
  });
  await completeTask(db, template);
  const { open } = await onlyRow<{ open: number }>(db, "select cardinality(open_ticks) as open from tasker.fold_state");
  assert.ok(open >= 1);
  await db.transaction(async (uncommitted) => {
    await createTask(uncommitted, template);
    await runStep(uncommitted, template, "pack");
    await dump(source);
  });
  return source;
}

async function freshDatabase(scope: Scope, name: string): Promise<{ readonly url: string; readonly db: Database }> {
  const admin = openTestPool(fresh.connectionString, 1);
  await admin.query({ text: `create database ${name}` });
  const url = new URL(fresh.connectionString);
  url.pathname = `/${name}`;
  const db = openTestPool(url.href, 10);
  scope.after(async () => {
    await db.close();
    await admin.close();
  });
  return { url: url.href, db };
}

/** Copies every row of every table into a migrated database: what a restore of a dump does. */
async function copyRows(from: Database, to: Database): Promise<void> {
  await migrate(to);
  await from.transaction(
    async (snapshot) => {
      const tables = await snapshot.query<{ name: string; identities: string[] | null }>({
        text: `select c.relname as name, (select array_agg(a.attname::text) from pg_attribute a
            where a.attrelid = c.oid and a.attidentity <> '') as identities
          from pg_class c where c.relnamespace = 'tasker'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition`,
      });
      assert.ok(tables.length > 15);
      await to.transaction(async (sql) => {
        await sql.query({ text: "set local session_replication_role = replica" });
        for (const { name, identities } of tables) {
          const rows = await snapshot.query<{ row: string }>({ text: `select t::text as row from tasker.${name} t` });
          await sql.query({ text: `delete from tasker.${name}` });
          await sql.query({
            text: `insert into tasker.${name} overriding system value
              select (row::tasker.${name}).* from unnest($1::text[]) row`,
            values: [rows.map(({ row }) => row)],
          });
          for (const column of identities ?? []) {
            const sequence = `pg_get_serial_sequence('tasker.${name}', '${column}')`;
            await sql.query({
              text: `select setval(${sequence}, (select coalesce(max(${column}), 1) from tasker.${name}))`,
            });
          }
        }
      });
    },
    { isolation: "repeatable read", readOnly: true },
  );
}

/** As they are answered, over all history: completed tasks, executions of their step and its share of the critical path. */
async function figures(db: Database) {
  const service = analyticsOf(db);
  const { answer } = await service.performance({ hours: 0 });
  const list = await service.bottlenecks({ ...defaultBottlenecks, hours: 0, min_executions: 1 });
  const { execution_count: executions, critical_path_share: share } = figuresOf(list.answer, "pack");
  return { completed: answer.completed_tasks, executions, share };
}

/** What must hold of a restored database, before and after a process has looked after it. */
async function checkRestored(source: Source, db: Database): Promise<void> {
  const { template } = source;
  assert.ok((await counterOf(source.db)) > (await counterOf(db)) + 3000, "the fresh cluster's counter stands lower");
  const inRollups = () =>
    onlyRow<{ n: number }>(db, "select coalesce(sum(completed), 0) as n from tasker.rollups where grain = 'a'");

  // The danger: without the guard a new fact counts as folded, and is in no answer.
  const undone = new Error("rolled back");
  await assert.rejects(
    db.transaction(async (sql) => {
      await createTask(sql, template);
      await runStep(sql, template, "pack");
      const text = "select coalesce(sum(completed), 0) as n from tasker.window_figures(null, tasker.clock(), null)";
      assert.deepEqual(await onlyRow(sql, text), { n: 8 }, "four tasks and their steps, the fifth is not seen");
      throw undone;
    }),
    undone,
  );

  const { logger, lines } = recordingLogger();
  await Promise.all(Array.from({ length: 5 }, () => adoptCluster(db, logger)));
  assert.deepEqual(
    lines.map(({ level, message }) => [level, message.slice(0, 45)]),
    [["warn", "the database was moved to another cluster: it"]],
  );
  assert.equal(lines[0]?.details["generation"], 1);
  assert.equal((await inRollups()).n, 8, "what came along is folded, once");
  await adoptCluster(db, logger);
  assert.equal(lines.length, 1);

  assert.deepEqual(await figures(db), { completed: 4, executions: 4, share: 1 });
  for (let done = 5; done <= 7; done++) {
    await completeTask(db, template);
    await traceAll(db);
    assert.deepEqual(await figures(db), { completed: done, executions: done, share: 1 });
    if (done === 6) await foldAll(db);
  }
  await foldAll(db);
  assert.equal((await inRollups()).n, 14);
  const now = Date.now() * 1000 + 60e6;
  for (const hours of [0, 1]) await checkWindow(db, await readFacts(db), { hours, now, ids: null });
}

async function versionOf(cluster: string): Promise<string> {
  const admin = openTestPool(cluster, 1);
  try {
    const { major } = await onlyRow<{ major: string }>(
      admin,
      "select (current_setting('server_version_num')::integer / 10000)::text as major",
    );
    return major;
  } finally {
    await admin.close();
  }
}

/** By pg_dump and pg_restore of the servers' version. */
function dumpAndRestore(from: string, to: string): void {
  const bin = debianPostgres();
  const options = { encoding: "buffer", maxBuffer: 1e9 } as const;
  const dump = spawnSync(join(bin, "pg_dump"), ["--format=custom", "--no-owner", from], options);
  assert.equal(dump.status, 0, dump.stderr.toString());
  const restore = spawnSync(join(bin, "pg_restore"), ["--exit-on-error", "--no-owner", `--dbname=${to}`], {
    ...options,
    input: dump.stdout,
  });
  assert.equal(restore.status, 0, restore.stderr.toString());
}

const way = isDebians ? "by pg_dump and pg_restore" : "when rows are copied into a migrated database";
test(`after a restore into a cluster whose transaction counter stands lower, ${way}, nothing is lost and nothing counted twice`, async (t) => {
  const { url, db } = await freshDatabase(t, "restored");
  const source = await withSource(t, async (from) =>
    isDebians ? dumpAndRestore(from.url, url) : copyRows(from.db, db),
  );
  await checkRestored(source, db);
});

test("of processes that start on a moved database one says so, before they work", async (t) => {
  const { url, db } = await testDatabase(t);
  await db.query({ text: "update tasker.tick_generation set system_identifier = 'another cluster'" });
  const env = { DATABASE_URL: url, TASKER_HTTP_PORT: "0" };
  const servers = [0, 1].map(() => startTasker(t, ["serve"], { env }));
  await Promise.all(servers.map((server) => server.printed(/listening on/u)));
  for (const server of servers) server.kill("SIGTERM");
  const logs = await Promise.all(servers.map(async (server) => (await server.ended).stderr));
  assert.equal(logs.join("").match(/the database was moved to another cluster/gu)?.length, 1);
  assert.deepEqual(await onlyRow(db, "select tasker.has_moved() as moved, generation from tasker.tick_generation"), {
    moved: false,
    generation: 1,
  });
});

test("a watermark beyond the cluster's counter is a moved database too, whatever the identifier says", async (t) => {
  const { db } = await testDatabase(t);
  const template = await register(db, { pack: [] });
  await foldAll(db);
  await db.query({ text: "update tasker.fold_state set watermark = watermark + 1000000000" });
  const { logger, lines } = recordingLogger();
  await adoptCluster(db, logger);
  assert.equal(lines.length, 1);
  await completeTask(db, template);
  assert.equal((await figures(db)).completed, 1);
});

test("a transaction that took its tick before is waited for, and its facts count", async (t) => {
  const { db } = await testDatabase(t);
  const template = await register(db, { pack: [] });
  await db.query({ text: "update tasker.tick_generation set system_identifier = 'another cluster'" });
  const { logger, lines } = recordingLogger();
  let adopting: Promise<void> = Promise.resolve();
  await db.transaction(async (sql) => {
    await createTask(sql, template);
    adopting = adoptCluster(db, logger);
    await eventually(
      "the guard waits for the transaction",
      () =>
        onlyRow<{ n: number }>(db, "select count(*) as n from pg_locks where not granted and locktype = 'relation'"),
      ({ n }) => n === 1,
    );
    await runStep(sql, template, "pack");
    assert.equal(lines.length, 0);
  });
  await adopting;
  assert.equal(lines.length, 1);
  assert.equal((await figures(db)).completed, 1);
});
