import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";

import { type App, startApp } from "../../src/app.ts";
import { loadConfig, type LoadOptions } from "../../src/config/load.ts";
import { defineTask } from "../../src/workflow/define-task.ts";
import { type LogLine, recordingLogger } from "../http/recording-logger.ts";
import { type Scope, testDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { startRedis } from "../support/redis.ts";
import { startTasker } from "../support/tasker-process.ts";

const paths = ["/v1/analytics/performance", "/v1/analytics/bottlenecks?min_executions=1"];
const pack = defineTask({ namespace: "shop", name: "pack_order", version: "1.0.0" })
  .step("pick", () => "picked")
  .step("wrap", { after: ["pick"] }, () => "wrapped");

/** The section as the requirement prints it, with another backend. */
const sectionWith = (backend: string): string => `
[common.cache]
enabled = true
backend = "${backend}"
default_ttl_seconds = 3600
template_ttl_seconds = 3600
analytics_ttl_seconds = 60
key_prefix = "tasker"

[common.cache.redis]
url = "\${REDIS_URL:-redis://localhost:6379}"
max_connections = 10
connection_timeout_seconds = 5
database = 0

[common.cache.moka]
max_capacity = 10000
`;

interface Running {
  readonly app: App;
  readonly address: string;
  readonly lines: readonly LogLine[];
}

interface ServeOptions {
  readonly url: string;
  readonly backend: string;
  readonly work?: boolean;
  readonly redisUrl?: string;
  readonly settings?: NonNullable<LoadOptions["overrides"]>;
}

/** A process that serves, composed in this one, with that section in its file and nothing computed ahead. */
async function serve(
  scope: Scope,
  { url, backend, work = false, redisUrl, settings = {} }: ServeOptions,
): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), "tasker-backends-"));
  const file = join(folder, "tasker.toml");
  writeFileSync(file, sectionWith(backend));
  const overrides = { "database.url": url, "http.port": 0, "common.cache.warm_start": false, ...settings };
  const env: Record<string, string> = redisUrl === undefined ? {} : { REDIS_URL: redisUrl };
  const config = loadConfig({ file, env, overrides });
  rmSync(folder, { recursive: true });
  const { logger, lines } = recordingLogger();
  const app = await startApp({ config, logger, definitions: [pack], serve: true, work });
  scope.after(() => app.stop());
  return { app, address: app.http?.address ?? "", lines };
}

interface Told {
  readonly status: string;
  readonly body: string;
  readonly etag: string | null;
}

async function ask(address: string, path: string): Promise<Told> {
  const response = await fetch(address + path);
  const body = await response.text();
  assert.equal(response.status, 200, body);
  return { body, status: response.headers.get("cache-status") ?? "", etag: response.headers.get("etag") };
}

async function runTasks({ app }: Running, count: number): Promise<void> {
  const tasks = await app.submitter.submit(
    pack.name,
    Array.from({ length: count }, () => ({ input: null })),
  );
  for (const { id } of tasks) assert.equal((await app.outcomes.wait(id)).state, "complete");
}

/** What an answer says, but for the time at which it says it and how busy its process was. */
function figuresOf({ body }: Told): object {
  const {
    calculated_at: _at,
    data_through: _through,
    analysis_period_start: _start,
    analysis_period_end: _end,
    resource_utilization: utilization,
    ...figures
  } = JSON.parse(body) as Record<string, unknown>;
  const { system_health: health } = (utilization ?? {}) as Record<string, unknown>;
  return { ...figures, health };
}

const warnings = (lines: readonly LogLine[]): readonly string[] =>
  lines.filter(({ level }) => level === "warn" || level === "error").map(({ message }) => message);

describe("the cache of the HTTP API", { timeout: 120_000 }, () => {
  test("with redis: what one process computed another answers with, and both go on when redis is killed", async (t) => {
    const { url } = await testDatabase(t);
    const redis = await startRedis(t);
    const env = {
      DATABASE_URL: url,
      REDIS_URL: redis.url,
      TASKER_COMMON_CACHE_WARM_START: "false",
      // Two processes share few processors here; who gets one when must not decide whether redis is used.
      TASKER_COMMON_CACHE_REDIS_COMMAND_BUDGET_MS: "2000",
    };
    const processes = [0, 1].map(() => startTasker(t, ["serve", "--port", "0"], { env }));
    const [one = "", other = ""] = await Promise.all(
      processes.map(async (process) => {
        await process.logged(/The cache in redis is in use/u);
        const [, address = ""] = await process.printed(/listening on (http:\S+)/u);
        return address;
      }),
    );
    for (const path of paths) {
      const first = await ask(one, path);
      assert.match(first.status, /^tasker; fwd=uri-miss; stored/u);
      const second = await ask(other, path);
      assert.match(second.status, /^tasker; hit/u);
      assert.deepEqual([second.body, second.etag], [first.body, first.etag]);
    }
    await redis.kill();
    await Promise.all(processes.map((process) => process.logged(/Redis cannot be used/u)));
    for (const address of [one, other]) {
      for (const path of paths) assert.match((await ask(address, path)).status, /^tasker; hit/u);
      const uncommon = "/v1/analytics/performance?hours=7";
      assert.match((await ask(address, uncommon)).status, /^tasker; fwd=uri-miss; stored/u);
      assert.match((await ask(address, uncommon)).status, /^tasker; hit/u);
    }
  });

  for (const backend of ["moka", "memory", "in-memory"]) {
    test(`with ${backend}: each process computes once and then answers with the same bytes`, async (t) => {
      const { url } = await testDatabase(t);
      const [one, other] = [await serve(t, { url, backend }), await serve(t, { url, backend })];
      for (const path of paths) {
        const first = await ask(one.address, path);
        assert.match(first.status, /^tasker; fwd=uri-miss; stored/u);
        const second = await ask(one.address, path);
        assert.match(second.status, /^tasker; hit/u);
        assert.equal(second.body, first.body);
        assert.match((await ask(other.address, path)).status, /^tasker; fwd=uri-miss; stored/u);
      }
    });
  }

  test("keeps analytics and templates each as long as its own key says", async (t) => {
    const { url } = await testDatabase(t);
    const redis = await startRedis(t);
    const settings = {
      "common.cache.analytics_ttl_seconds": 700,
      "common.cache.template_ttl_seconds": 7_000,
      "common.cache.key_prefix": "acme:tasker",
      "common.cache.redis.command_budget_ms": 2_000,
    };
    const { app, address, lines } = await serve(t, { url, backend: "redis", redisUrl: redis.url, settings });
    await eventually(
      "redis is in use",
      () => Promise.resolve(lines.some(({ message }) => message === "The cache in redis is in use")),
      (isInUse) => isInUse,
    );
    const response = await fetch(`${address}/v1/analytics/performance?hours=7`);
    assert.match(response.headers.get("cache-control") ?? "", /^private, max-age=700/u);
    await app.submitter.submit(pack.name, [{ input: null }]);
    for (const [key, seconds] of [
      ["acme:tasker:analytics:performance:7", 700],
      ["acme:tasker:template:shop:pack_order:1.0.0", 7_000],
    ] as const) {
      const left = await eventually(
        `${key} is kept`,
        () => redis.admin.pttl(key),
        (ms) => ms > 0,
      );
      // All but what has passed since, and that was less than a minute and a half.
      assert.ok(left <= seconds * 1000 && left > (seconds - 90) * 1000, `${key}: ${left} ms`);
    }
  });

  test("with a redis that is not there: the process starts and answers from its memory", async (t) => {
    const { url } = await testDatabase(t);
    const { address } = await serve(t, { url, backend: "redis", redisUrl: "redis://127.0.0.1:1" });
    for (const path of paths) {
      const first = await ask(address, path);
      assert.match(first.status, /^tasker; fwd=uri-miss; stored/u);
      const second = await ask(address, path);
      assert.match(second.status, /^tasker; hit/u);
      assert.equal(second.body, first.body);
    }
  });

  test("with memory that somebody chose: one warning that templates are not cached, and tasks run all the same", async (t) => {
    const { url } = await testDatabase(t);
    const system = await serve(t, { url, backend: "moka", work: true });
    assert.equal(warnings(system.lines).length, 1);
    assert.match(warnings(system.lines)[0] ?? "", /The cache "memory" is not used for templates, which go uncached/u);
    await runTasks(system, 2);
    assert.equal(warnings(system.lines).length, 1);
  });

  test("with a backend that nobody knows: one warning that says what was meant, and everything works uncached", async (t) => {
    const { url } = await testDatabase(t);
    const system = await serve(t, { url, backend: "mokka", work: true });
    assert.equal(warnings(system.lines).length, 1);
    assert.match(warnings(system.lines)[0] ?? "", /"mokka" is unknown: nothing is cached\. Did you mean "moka"\?/u);
    await runTasks(system, 2);
    for (const path of paths) {
      for (let times = 0; times < 2; times++) {
        assert.equal((await ask(system.address, path)).status, "tasker; fwd=bypass");
      }
    }
  });

  test("changes no figure: every backend gives the answers of none", async (t) => {
    const { url } = await testDatabase(t);
    const redis = await startRedis(t);
    const worker = await serve(t, { url, backend: "none", work: true });
    await runTasks(worker, 3);
    await worker.app.stop();
    const answers = new Map<string, readonly object[]>();
    for (const backend of ["none", "memory", "redis"]) {
      const { address } = await serve(t, { url, backend, redisUrl: redis.url });
      // The second one comes from the cache, where there is one.
      const told = [];
      for (const path of paths) told.push(figuresOf(await ask(address, path)), figuresOf(await ask(address, path)));
      answers.set(backend, told);
    }
    assert.match(JSON.stringify(answers.get("none")), /"completed_tasks":3/u);
    assert.deepEqual(answers.get("memory"), answers.get("none"));
    assert.deepEqual(answers.get("redis"), answers.get("none"));
  });
});
