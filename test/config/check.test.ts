import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";

import { exitCodeOf, explain } from "../../src/cli/explain.ts";
import { createProgram } from "../../src/cli/program.ts";
import { fields } from "../../src/config/schema.ts";
import { recordedTerminal } from "../cli/terminals.ts";

/** Word for word the section that the requirement of this feature prints, with the backend it names or another. */
const sectionWith = (backend: string): string => `
[common.cache]
enabled = true
backend = "${backend}"           # "redis", "moka", "in-memory"
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
max_capacity = 10000        # Maximum entries in cache
`;

interface Checked {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `tasker config check`, on a file when there is a text for one. */
async function check(
  t: TestContext,
  { toml, env = {}, json = false }: { toml?: string; env?: Record<string, string>; json?: boolean },
): Promise<Checked & { readonly file: string }> {
  const folder = mkdtempSync(join(tmpdir(), "tasker-config-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "tasker.toml");
  if (toml !== undefined) writeFileSync(file, toml);
  const args = ["config", "check", ...(toml === undefined ? [] : ["--config", file]), ...(json ? ["--json"] : [])];
  const { terminal, out, err } = recordedTerminal();
  try {
    await createProgram({ terminal, env }).parseAsync(args, { from: "user" });
    return { code: 0, out: out(), err: err(), file };
  } catch (error) {
    return { code: exitCodeOf(error), out: out(), err: err() + explain(error), file };
  }
}

/** The line of a key. */
function line(out: string, path: string): string {
  return out.split("\n").find((one) => one.startsWith(`${path} = `)) ?? "";
}

describe("config check", () => {
  test("prints every key with its value and where that comes from", async (t) => {
    const env = { DATABASE_URL: "postgres://db/tasker", TASKER_HTTP_PORT: "9000" };
    const { code, out, err, file } = await check(t, { toml: "[worker]\nconcurrency = 7\n", env });
    assert.equal(code, 0, err);
    assert.equal(err, "");
    assert.deepEqual(
      out
        .trimEnd()
        .split("\n")
        .map((one) => one.split(" = ")[0]),
      [...fields.keys()],
    );
    assert.equal(
      line(out, "database.url"),
      `database.url = "postgres://db/tasker"  # environment variable DATABASE_URL`,
    );
    assert.equal(line(out, "http.port"), "http.port = 9000  # environment variable TASKER_HTTP_PORT");
    assert.equal(line(out, "worker.concurrency"), `worker.concurrency = 7  # ${file}`);
    assert.equal(line(out, "worker.lease_ms"), "worker.lease_ms = 30000  # default");
  });

  test("hides passwords, wherever a value got them from", async (t) => {
    const toml = '[common.cache.redis]\nurl = "rediss://app:${PASSWORD}@cache:6380"\n';
    const env = {
      PASSWORD: "hunter2",
      DATABASE_URL: "postgres://app:hunter2@db/tasker?sslpassword=hunter2",
      ANALYTICS_REPLICA_URL: "postgres://app:hunter2@standby/tasker",
    };
    for (const json of [false, true]) {
      const { out, err } = await check(t, { toml, env, json });
      assert.doesNotMatch(out + err, /hunter2/u);
      assert.match(out, /postgres:\/\/app:\*\*\*@db\/tasker/u);
      assert.match(out, /postgres:\/\/app:\*\*\*@standby\/tasker/u);
      assert.match(out, /rediss:\/\/app:\*\*\*@cache:6380/u);
    }
  });

  test("prints JSON for programs, and warnings beside it", async (t) => {
    const { out, err } = await check(t, { env: { TASKER_COMMON_CACHE_BACKEND: "memry" }, json: true });
    const settings = JSON.parse(out) as Record<string, unknown>;
    assert.deepEqual(Object.keys(settings), [...fields.keys()]);
    assert.deepEqual(settings["common.cache.backend"], {
      value: "memry",
      source: "environment variable TASKER_COMMON_CACHE_BACKEND",
      note: "nothing is cached",
    });
    assert.deepEqual(settings["http.port"], { value: 8080, source: "default" });
    assert.match(err, /^warning: .*Did you mean "memory"\?\n$/u);
  });

  test("says which keys of redis mean less than their names", async (t) => {
    const { out } = await check(t, {});
    assert.match(
      line(out, "common.cache.redis.max_connections"),
      /; an upper bound: one pipelined connection serves$/u,
    );
    const timeout = line(out, "common.cache.redis.connection_timeout_seconds");
    assert.match(timeout, /; limits connecting, in the background: nothing waits for it$/u);
  });

  test("reports every key that does not exist, with what was probably meant", async (t) => {
    const { code, out, err } = await check(t, {
      toml: "[common.cache]\nbakend = 'redis'\n[common.cache.redis]\nmax_conections = 3\n",
      env: { TASKER_COMMON_CACHE_ENABELD: "true" },
    });
    assert.equal(code, 1);
    assert.equal(out, "");
    assert.match(err, /3 problems/u);
    assert.match(err, /unknown key common\.cache\.bakend; did you mean common\.cache\.backend\?/u);
    assert.match(
      err,
      /unknown key common\.cache\.redis\.max_conections; did you mean common\.cache\.redis\.max_connections\?/u,
    );
    assert.match(err, /TASKER_COMMON_CACHE_ENABELD .*did you mean TASKER_COMMON_CACHE_ENABLED\?/u);
  });

  for (const [backend, note] of [
    ["redis", ""],
    ["moka", "; the memory of each process, for analytics; templates go uncached"],
    ["memory", "; the memory of each process, for analytics; templates go uncached"],
    ["in-memory", "; the memory of each process, for analytics; templates go uncached"],
  ] as const) {
    test(`takes the requirement's section as it is printed, with the backend ${backend}`, async (t) => {
      const { code, out, err, file } = await check(t, { toml: sectionWith(backend) });
      assert.equal(code, 0, err);
      assert.equal(err, "");
      assert.equal(line(out, "common.cache.backend"), `common.cache.backend = "${backend}"  # ${file}${note}`);
      assert.equal(
        line(out, "common.cache.memory.max_capacity"),
        `common.cache.memory.max_capacity = 10000  # ${file}`,
      );
      const url = line(out, "common.cache.redis.url");
      assert.equal(url, `common.cache.redis.url = "redis://localhost:6379"  # ${file}`);
    });
  }

  test("says what an empty backend means, an unknown one, and none", async (t) => {
    const noteOn = async (env: Record<string, string>): Promise<string> => {
      const { out } = await check(t, { env });
      return `${line(out, "common.cache.backend")} | ${line(out, "common.cache.enabled")}`;
    };
    assert.match(await noteOn({}), /backend = "" {2}# default; the memory of each process/u);
    assert.match(await noteOn({ REDIS_URL: "redis://x" }), /backend = "redis" {2}# environment variable REDIS_URL \|/u);
    assert.match(await noteOn({ TASKER_COMMON_CACHE_BACKEND: "reddis" }), /BACKEND; nothing is cached \|/u);
    assert.match(await noteOn({ TASKER_COMMON_CACHE_BACKEND: "none" }), /BACKEND \|/u);
    assert.match(await noteOn({ TASKER_COMMON_CACHE_ENABLED: "false" }), /ENABLED; nothing is cached$/u);
  });
});
