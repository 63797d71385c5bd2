import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { resolveCacheBackend, type CacheBackendChoice } from "../../src/config/cache-backend.ts";
import { loadConfig, type LoadOptions } from "../../src/config/load.ts";
import type { Config } from "../../src/config/schema.ts";

/** Word for word the section that the requirement of this feature prints. */
const sectionOfTheRequirement = `
[common.cache]
enabled = true
backend = "redis"           # "redis", "moka", "in-memory"
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

function load(t: TestContext, toml: string, env: LoadOptions["env"] = {}): Config {
  const folder = mkdtempSync(join(tmpdir(), "tasker-config-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "tasker.toml");
  writeFileSync(file, toml);
  return loadConfig({ file, env });
}

function resolve(backend: string, enabled = true): CacheBackendChoice {
  const overrides = { "common.cache.backend": backend, "common.cache.enabled": enabled };
  return resolveCacheBackend(loadConfig({ env: {}, overrides }));
}

test("the requirement's section loads as it is printed", (t) => {
  const { cache } = load(t, sectionOfTheRequirement, { REDIS_URL: "rediss://:pw@cache:6380" }).common;
  assert.equal(cache.backend, "redis");
  assert.equal(cache.analyticsTtlSeconds, 60);
  assert.deepEqual(cache.redis, {
    url: "rediss://:pw@cache:6380",
    maxConnections: 10,
    connectionTimeoutSeconds: 5,
    database: 0,
    commandBudgetMs: 25,
  });
  assert.equal(cache.memory.maxCapacity, 10_000);
  assert.equal(load(t, sectionOfTheRequirement).common.cache.redis.url, "redis://localhost:6379");
});

test("the memory cache may be configured under the name moka", (t) => {
  assert.equal(load(t, "[common.cache.moka]\nmax_capacity = 5\n").common.cache.memory.maxCapacity, 5);
  const env = { TASKER_COMMON_CACHE_MOKA_MAX_BYTES: "2048" };
  assert.equal(loadConfig({ env }).common.cache.memory.maxBytes, 2048);
});

test("both names of the memory cache in one file must agree", (t) => {
  const both = (moka: number): string =>
    `[common.cache.memory]\nmax_capacity = 5\n[common.cache.moka]\nmax_capacity = ${moka}\n`;
  assert.equal(load(t, both(5)).common.cache.memory.maxCapacity, 5);
  assert.throws(() => load(t, both(6)), /moka\.max_capacity and common\.cache\.memory\.max_capacity .* differ/u);
});

test("between sources the later one wins, whichever name it uses", (t) => {
  const toml = "[common.cache.moka]\nmax_capacity = 5\n";
  const env = { TASKER_COMMON_CACHE_MEMORY_MAX_CAPACITY: "7" };
  assert.equal(load(t, toml, env).common.cache.memory.maxCapacity, 7);
});

test("a known backend is chosen by any of its names, without a warning", () => {
  for (const name of ["memory", "moka", "in-memory", "Memory", " moka "]) {
    assert.deepEqual(resolve(name), { backend: "memory", chosen: true, warnings: [] }, name);
  }
  assert.deepEqual(resolve("none"), { backend: "none", chosen: true, warnings: [] });
});

test("unset, the backend is memory and nobody chose it", () => {
  assert.deepEqual(resolve(""), { backend: "memory", chosen: false, warnings: [] });
});

test("nothing is cached when caching is disabled, whatever the backend", () => {
  for (const name of ["", "memory", "redis", "nonsense"]) {
    assert.deepEqual(resolve(name, false), { backend: "none", chosen: true, warnings: [] }, name);
  }
});

test("redis is chosen by its name", () => {
  assert.deepEqual(resolve("redis"), { backend: "redis", chosen: true, warnings: [] });
});

test("unset, the backend is redis when REDIS_URL says where one is, and that one is used", (t) => {
  const env = { REDIS_URL: "redis://provided:6379" };
  for (const config of [loadConfig({ env }), load(t, '[common.cache]\nbackend = " "\n', env)]) {
    assert.equal(resolveCacheBackend(config).backend, "redis");
    assert.equal(config.common.cache.redis.url, "redis://provided:6379");
  }
  assert.equal(resolveCacheBackend(loadConfig({ env: { REDIS_URL: "" } })).backend, "memory");
});

test("a backend that is named stays what it is, whatever REDIS_URL says", (t) => {
  const env = { REDIS_URL: "redis://provided:6379", TASKER_COMMON_CACHE_REDIS_URL: "redis://ours:6379" };
  const config = load(t, '[common.cache]\nbackend = "memory"\n', env);
  assert.equal(resolveCacheBackend(config).backend, "memory");
  assert.equal(config.common.cache.redis.url, "redis://ours:6379");
});

test("how long answers may be old has a default, and may be nothing", () => {
  const { cache } = loadConfig({ env: {} }).common;
  assert.deepEqual([cache.staleWhileRevalidateSeconds, cache.staleIfErrorSeconds], [30, 3600]);
  const env = { TASKER_COMMON_CACHE_STALE_IF_ERROR_SECONDS: "0" };
  assert.equal(loadConfig({ env }).common.cache.staleIfErrorSeconds, 0);
});

test("the time to live of everything is that of templates too when they are given none, and never that of analytics", (t) => {
  const { cache } = load(t, "[common.cache]\ndefault_ttl_seconds = 7\n").common;
  assert.deepEqual([cache.templateTtlSeconds, cache.analyticsTtlSeconds], [7, 60]);
  const own = load(t, "[common.cache]\ndefault_ttl_seconds = 7\ntemplate_ttl_seconds = 9\n").common.cache;
  assert.deepEqual([own.defaultTtlSeconds, own.templateTtlSeconds], [7, 9]);
  const env = { TASKER_COMMON_CACHE_DEFAULT_TTL_SECONDS: "8" };
  assert.equal(load(t, "[common.cache]\ntemplate_ttl_seconds = 9\n", env).common.cache.templateTtlSeconds, 9);
});

test("an unknown backend disables caching with a warning that says what was probably meant", () => {
  const { backend, warnings } = resolve("reddis");
  assert.equal(backend, "none");
  assert.match(warnings[0] ?? "", /"reddis" is unknown: nothing is cached\. Did you mean "redis"\?/u);
  assert.match(resolve("memcached").warnings[0] ?? "", /is unknown.*Set it to "redis" or "memory"/u);
});
