import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { type App, startApp } from "../../src/app.ts";
import { loadConfig, type LoadOptions } from "../../src/config/load.ts";
import { type LogLine, recordingLogger } from "../http/recording-logger.ts";
import { type Scope, testDatabase, type TestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { startRedis } from "../support/redis.ts";
import { startTasker } from "../support/tasker-process.ts";

const paths = ["/v1/analytics/performance", "/v1/analytics/bottlenecks"];

interface Served {
  readonly app: App;
  readonly address: string;
  readonly lines: readonly LogLine[];
}

/** A process that serves, as the `tasker serve` command composes it, in this one. */
async function serve(
  scope: Scope,
  { url }: TestDatabase,
  overrides: NonNullable<LoadOptions["overrides"]> = {},
): Promise<Served> {
  const { logger, lines } = recordingLogger();
  const config = loadConfig({ env: {}, overrides: { "database.url": url, "http.port": 0, ...overrides } });
  const app = await startApp({ config, logger, serve: true });
  scope.after(() => app.stop());
  return { app, address: app.http?.address ?? "", lines };
}

async function statusOf(address: string, path: string): Promise<string> {
  const response = await fetch(address + path);
  await response.arrayBuffer();
  return `${response.status} ${response.headers.get("cache-status") ?? ""}`;
}

/** The sum of a metric's series whose labels match. */
async function metric(address: string, name: string, labels = /(?:)/u): Promise<number> {
  const text = await (await fetch(`${address}/metrics`)).text();
  const series = text.split("\n").filter((line) => line.startsWith(`${name}{`) && labels.test(line));
  return series.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

const computes = (address: string): Promise<number> => metric(address, "tasker_cache_computes_total", /result="ok"/u);

const warnings = (lines: readonly LogLine[]): readonly LogLine[] =>
  lines.filter(({ level }) => level === "warn" || level === "error");

/** Lets the beginning of every window wait for a lock that the test holds, or fail. */
async function redefineWindowStart({ db }: TestDatabase, body: string): Promise<void> {
  await db.query({
    text: `create or replace function tasker.window_start(p_hours integer, p_now timestamptz) returns timestamptz
      language plpgsql volatile as $$ begin ${body} return p_now; end $$`,
  });
}

describe("a process that serves", { timeout: 120_000 }, () => {
  test("answers its first request of the default answers from the cache", async (t) => {
    const { address, lines } = await serve(t, await testDatabase(t));
    await eventually(
      "both answers are computed",
      () => computes(address),
      (count) => count === 2,
    );
    assert.equal(await metric(address, "tasker_cache_requests_total"), 0);
    for (const path of paths) assert.match(await statusOf(address, path), /^200 tasker; hit/u);
    assert.equal(await metric(address, "tasker_cache_requests_total", /result="hit"/u), 2);
    assert.equal(await computes(address), 2);
    assert.deepEqual(warnings(lines), []);
  });

  test("knows that its answers are old when the machine slept: only the wall clock went on", async (t) => {
    const { address } = await serve(t, await testDatabase(t), { "common.cache.warm_start": false });
    const path = paths[0] ?? "";
    assert.match(await statusOf(address, path), /^200 tasker; fwd=uri-miss/u);
    assert.match(await statusOf(address, path), /^200 tasker; hit/u);
    const awake = Date.now;
    t.mock.method(Date, "now", () => awake() + 8 * 3_600_000);
    assert.match(await statusOf(address, path), /^200 tasker; fwd=uri-miss; stored/u);
    assert.match(await statusOf(address, path), /^200 tasker; hit/u);
  });

  test("starts and serves although the answers cannot be computed, and says so in one line", async (t) => {
    const database = await testDatabase(t);
    await redefineWindowStart(database, "raise exception 'broken';");
    const { address, lines } = await serve(t, database);
    await eventually(
      "the failure is in the log",
      () => Promise.resolve(warnings(lines).length),
      (count) => count > 0,
    );
    assert.equal((await fetch(`${address}/health`)).status, 200);
    assert.match(await statusOf(address, paths[0] ?? ""), /^500 /u);
    const own = warnings(lines).filter(({ details }) => details["service"] === "warm start");
    assert.equal(own.length, 1);

    await redefineWindowStart(database, "");
    await eventually(
      "the failure does not stand any more",
      () => statusOf(address, paths[0] ?? ""),
      (status) => status.startsWith("200 "),
    );
  });

  test("stops at once while the answers are computed, however long that would take", async (t) => {
    const database = await testDatabase(t);
    await redefineWindowStart(database, "perform pg_advisory_xact_lock(4711);");
    await database.db.transaction(async (sql) => {
      await sql.query({ text: "select pg_advisory_xact_lock(4711)" });
      const { app, lines } = await serve(t, database, { "database.analytics_statement_timeout_ms": 3_600_000 });
      await eventually(
        "the computation waits in the database",
        () =>
          sql.query({ text: "select 1 from pg_locks where locktype = 'advisory' and objid = 4711 and not granted" }),
        (rows) => rows.length === 1,
      );
      // Would not end while the lock is held, which is until it has.
      await app.stop();
      assert.deepEqual(warnings(lines), []);
    });
  });

  test("computes nothing ahead when that is switched off, or when nothing would be kept", async (t) => {
    const off = await serve(t, await testDatabase(t), { "common.cache.warm_start": false });
    for (const path of paths) assert.match(await statusOf(off.address, path), /^200 tasker; fwd=uri-miss/u);
    const none = await serve(t, await testDatabase(t), { "common.cache.backend": "none" });
    for (const path of paths) assert.match(await statusOf(none.address, path), /^200 tasker; fwd=bypass/u);
    for (const { address, app, lines } of [off, none]) {
      assert.equal(await computes(address), 2);
      await app.stop();
      assert.deepEqual(
        lines.filter(({ details }) => details["service"] === "warm start"),
        [],
      );
    }
  });
});

describe("processes that start together", { timeout: 120_000 }, () => {
  test("on one redis compute each default answer once", async (t) => {
    const { url } = await testDatabase(t);
    const redis = await startRedis(t);
    const env = {
      DATABASE_URL: url,
      REDIS_URL: redis.url,
      // Three processes share few processors here; who gets one when must not decide whether redis is used.
      TASKER_COMMON_CACHE_REDIS_COMMAND_BUDGET_MS: "2000",
    };
    const args = ["serve", "--port", "0", "--log-level", "debug"];
    const fleet = Array.from({ length: 3 }, () => startTasker(t, args, { env }));
    const addresses = await Promise.all(
      fleet.map(async (process) => {
        const [, address = ""] = await process.printed(/listening on (http:\S+)/u);
        await process.logged(/default answers are there for their first reader/u);
        return address;
      }),
    );
    const counts = await Promise.all(addresses.map(computes));
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      2,
      counts.join(" + "),
    );
    for (const address of addresses) {
      for (const path of paths) assert.match(await statusOf(address, path), /^200 tasker; hit/u);
    }
    for (const process of fleet) process.kill("SIGTERM");
    for (const process of fleet) assert.equal((await process.ended).code, 0);
  });

  test("computes each for itself when redis does not come", async (t) => {
    const { address } = await serve(t, await testDatabase(t), {
      "common.cache.backend": "redis",
      "common.cache.redis.url": "redis://127.0.0.1:1",
      "common.cache.redis.connection_timeout_seconds": 1,
    });
    await eventually(
      "both answers are computed",
      () => computes(address),
      (count) => count === 2,
    );
    for (const path of paths)
      assert.match(await statusOf(address, path), /^200 tasker; (?:hit|fwd=\S+ (?:stored; )?collapsed)/u);
  });
});

test("tasker dev computes nothing ahead: its owner does not see an empty answer after the first tasks", async (t) => {
  const { url } = await testDatabase(t);
  const dev = startTasker(t, ["dev", "--port", "0", "--no-demo"], { env: { DATABASE_URL: url } });
  const [, address = ""] = await dev.printed(/listening on (http:\S+)/u);
  for (const path of paths) assert.match(await statusOf(address, path), /^200 tasker; fwd=uri-miss/u);
  assert.equal(await computes(address), 2);
  dev.kill("SIGTERM");
  assert.equal((await dev.ended).code, 0);
});
