import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { ConfigError } from "../../src/config/config-error.ts";
import { loadConfig, type LoadOptions, loadSourcedConfig } from "../../src/config/load.ts";
import type { Config } from "../../src/config/schema.ts";

/** Loads the files of a folder of its own, `tasker.toml` being the base. */
function load(t: TestContext, files: Readonly<Record<string, string>>, options: Partial<LoadOptions> = {}): Config {
  const folder = mkdtempSync(join(tmpdir(), "tasker-config-"));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return loadConfig({ file: join(folder, "tasker.toml"), env: {}, ...options });
}

function problemsOf(action: () => unknown): readonly string[] {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    assert.equal(error.code, "invalid_config");
    for (const problem of error.problems) assert.ok(error.message.includes(problem));
    return error.problems;
  }
  return assert.fail("no problem was found");
}

/** The one problem that there is. */
function problemOf(action: () => unknown): string {
  const problems = problemsOf(action);
  assert.equal(problems.length, 1, problems.join("\n"));
  return problems[0] ?? "";
}

test("the later source wins: defaults, file, overlay, environment, command line", (t) => {
  const base = "[http]\nport = 1\n";
  const overlay = "[http]\nport = 2\n";
  const files = { "tasker.toml": base, "production.toml": overlay };
  const production = { TASKER_ENV: "production" };
  assert.equal(loadConfig({ env: {} }).http.port, 8080);
  assert.equal(load(t, files).http.port, 1);
  assert.equal(load(t, files, { env: { TASKER_ENV: "development" } }).http.port, 1);
  assert.equal(load(t, files, { env: production }).http.port, 2);
  const env = { ...production, TASKER_HTTP_PORT: "3" };
  assert.equal(load(t, files, { env }).http.port, 3);
  assert.equal(load(t, files, { env, overrides: { "http.port": 4 } }).http.port, 4);
  assert.equal(load(t, files, { env, overrides: { "http.port": "5" } }).http.port, 5);
  assert.equal(load(t, files, { env, overrides: { "http.port": undefined } }).http.port, 3);
});

test("the defaults of a command are for keys that nobody sets", (t) => {
  const defaults = { "logging.level": "warn", "common.cache.warm_start": false } as const;
  const levelOf = (files: Readonly<Record<string, string>>, more: Partial<LoadOptions> = {}): string =>
    load(t, files, { defaults, ...more }).logging.level;
  const silent = { "tasker.toml": "[http]\nport = 1\n" };
  const spoken = { "tasker.toml": "[logging]\nlevel = 'error'\n" };
  assert.equal(loadConfig({ env: {}, defaults }).common.cache.warmStart, false);
  assert.equal(loadConfig({ env: { TASKER_COMMON_CACHE_WARM_START: "true" }, defaults }).common.cache.warmStart, true);
  assert.equal(levelOf(silent), "warn");
  assert.equal(levelOf(spoken), "error");
  assert.equal(levelOf(spoken, { env: { TASKER_LOGGING_LEVEL: "info" } }), "info");
  assert.equal(levelOf(silent, { overrides: { "logging.level": "debug" } }), "debug");
});

test("each value has the source that won", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "tasker-config-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "tasker.toml");
  const overlay = join(folder, "production.toml");
  writeFileSync(
    file,
    "[http]\nport = 1\nhost = '::1'\n[common.cache]\ndefault_ttl_seconds = 9\n[common.cache.moka]\nmax_bytes = 2048\n",
  );
  writeFileSync(overlay, "[http]\nport = 2\n");
  const { sources } = loadSourcedConfig({
    file,
    env: {
      TASKER_ENV: "production",
      TASKER_WORKER_CONCURRENCY: "3",
      DATABASE_URL: "postgres://x/y",
      REDIS_URL: "redis://z",
    },
    overrides: { "logging.level": "debug", "worker.lease_ms": undefined },
  });
  const expected = {
    "http.port": overlay,
    "http.host": file,
    "worker.concurrency": "environment variable TASKER_WORKER_CONCURRENCY",
    "worker.lease_ms": "default",
    "database.url": "environment variable DATABASE_URL",
    "logging.level": "command line",
    "common.cache.memory.max_bytes": file,
    "common.cache.backend": "environment variable REDIS_URL",
    "common.cache.redis.url": "environment variable REDIS_URL",
    "common.cache.template_ttl_seconds": `common.cache.default_ttl_seconds, ${file}`,
    "common.cache.analytics_ttl_seconds": "default",
  };
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((path) => [path, sources.get(path)])), expected);
});

test("TASKER_CONFIG names the file when the caller names none", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "tasker-config-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "own.toml");
  writeFileSync(file, "[worker]\nconcurrency = 7\n");
  assert.equal(loadConfig({ env: { TASKER_CONFIG: file } }).worker.concurrency, 7);
  assert.equal(loadConfig({ env: { TASKER_CONFIG: "" } }).worker.concurrency, 20);
});

test("the value is frozen to the bottom", () => {
  const config = loadConfig({ env: { TASKER_HTTP_ALLOWED_HOSTS: "a.example, b.example" } });
  assert.deepEqual(config.http.allowedHosts, ["a.example", "b.example"]);
  for (const part of [config, config.http, config.http.allowedHosts, config.common.cache.memory]) {
    assert.ok(Object.isFrozen(part));
  }
});

test("DATABASE_URL sets the database, TASKER_DATABASE_URL wins over it, and an empty one counts as unset", (t) => {
  const file = { "tasker.toml": '[database]\nurl = "postgres://file/x"\n' };
  const urlWith = (env: LoadOptions["env"]): string => load(t, file, { env }).database.url;
  assert.equal(urlWith({ DATABASE_URL: "postgres://plain/x" }), "postgres://plain/x");
  const both = { TASKER_DATABASE_URL: "postgres://own/x", DATABASE_URL: "postgres://plain/x" };
  assert.equal(urlWith(both), "postgres://own/x");
  assert.equal(urlWith({ DATABASE_URL: "" }), "postgres://file/x");
  assert.equal(urlWith({ TASKER_DATABASE_URL: "" }), "");
});

test("a pooler in transaction mode needs a way past it", () => {
  const pooled = { DATABASE_URL: "postgres://pooler/x", TASKER_DATABASE_TRANSACTION_POOLING: "true" };
  const direct = { TASKER_DATABASE_DIRECT_URL: "postgres://server/x" };
  assert.equal(loadConfig({ env: { ...pooled, ...direct } }).database.directUrl, "postgres://server/x");
  const blind = /database\.transaction_pooling needs database\.url, .* and database\.direct_url/u;
  assert.match(
    problemOf(() => loadConfig({ env: pooled })),
    blind,
  );
  const { DATABASE_URL: _, ...embedded } = { ...pooled, ...direct };
  assert.match(
    problemOf(() => loadConfig({ env: embedded })),
    blind,
  );
  assert.match(
    problemOf(() => loadConfig({ env: direct })),
    /database\.direct_url needs database\.url/u,
  );
});

test("ANALYTICS_REPLICA_URL sets the replica, which needs a database and a heart that beats more often than its bound", (t) => {
  const url = "postgres://app:hunter2@standby/x";
  const both = { DATABASE_URL: "postgres://db/x", ANALYTICS_REPLICA_URL: url };
  assert.equal(loadConfig({ env: both }).database.analyticsReplicaUrl, url);
  const own = { ...both, TASKER_DATABASE_ANALYTICS_REPLICA_URL: "" };
  assert.equal(loadConfig({ env: own }).database.analyticsReplicaUrl, "");
  const embedded = problemOf(() => loadConfig({ env: { ANALYTICS_REPLICA_URL: url } }));
  assert.match(embedded, /database\.analytics_replica_url needs database\.url; the embedded server has no replica/u);
  const slow = { "tasker.toml": "[maintenance]\nfold_interval_ms = 15001\n" };
  assert.match(
    problemOf(() => load(t, slow, { env: both })),
    /replica_max_lag_seconds \(30\) must be at least twice maintenance\.fold_interval_ms \(15001\)/u,
  );
  assert.equal(load(t, slow, { env: own }).maintenance.foldIntervalMs, 15_001);
  const wrong = problemOf(() => loadConfig({ env: { ...both, ANALYTICS_REPLICA_URL: "hunter2" } }));
  assert.match(wrong, /database\.analytics_replica_url .*expected a connection URL/u);
  assert.doesNotMatch(wrong, /hunter2/u);
  for (const seconds of ["0", "3601"]) {
    const env = { TASKER_DATABASE_ANALYTICS_REPLICA_MAX_LAG_SECONDS: seconds };
    assert.match(
      problemOf(() => loadConfig({ env })),
      /an integer from 1 to 3600/u,
    );
  }
});

test("unknown sections, keys and variables are refused with what was probably meant", (t) => {
  const problems = problemsOf(() =>
    load(t, {
      "tasker.toml": "prot = 1\nzzz = 1\n[http]\nprot = 1\nfoo = 2\n[wroker]\n[common.cahce]\nenabled = false\n[yyy]\n",
    }),
  );
  const expected = [
    /unknown key prot; did you mean http\.port\?/u,
    /unknown key zzz; keys stand below a section/u,
    /unknown key http\.prot; did you mean http\.port\?/u,
    /unknown key http\.foo; \[http\] has host, port, /u,
    /unknown section \[wroker\]; did you mean \[worker\]\?/u,
    /unknown section \[common\.cahce\]; did you mean \[common\.cache\]\?/u,
    /unknown section \[yyy\]; the sections are database, http, worker, /u,
  ];
  assert.equal(problems.length, expected.length);
  for (const [index, pattern] of expected.entries()) assert.match(problems[index] ?? "", pattern);
  assert.match(
    problemOf(() => loadConfig({ env: { TASKER_HTPP_PORT: "1" } })),
    /TASKER_HTPP_PORT sets no key.*did you mean TASKER_HTTP_PORT\?/u,
  );
  assert.match(
    problemOf(() => loadConfig({ env: { TASKER_QUX: "1" } })),
    /TASKER_QUX sets no key.*tasker\.toml/u,
  );
});

test("a key under the wrong section is told the right one", (t) => {
  assert.match(
    problemOf(() => load(t, { "tasker.toml": "[http]\nconcurrency = 3\n" })),
    /unknown key http\.concurrency; did you mean worker\.concurrency\?/u,
  );
  assert.match(
    problemOf(() => load(t, { "tasker.toml": "http = 3\n" })),
    /http is a section; write \[http\]/u,
  );
});

test("variables of others, of the tests and of ourselves are left alone", () => {
  const env = { PATH: "/bin", TASKERS_PORT: "x", TASKER_ENV: "test", TASKER_TEST_REDIS_URL: "x", TASKER_CONFIG: "" };
  assert.deepEqual(loadConfig({ env }), loadConfig({ env: {} }));
});

test("a wrong value is told what was expected, what was got and how to mend it", (t) => {
  const toml = (text: string): string => problemOf(() => load(t, { "tasker.toml": text }));
  assert.match(
    toml('[http]\nport = "8080"\n'),
    /http\.port .*an integer from 0 to 65535, got "8080"; write .* without quotes/u,
  );
  assert.match(toml("[http]\nport = 65536\n"), /got 65536; correct it, or remove it for the default 8080/u);
  assert.match(toml("[http]\nport = 1.5\n"), /expected an integer .*got 1\.5/u);
  assert.match(toml("[http.port]\nx = 1\n"), /expected an integer .*got \{"x":1\}/u);
  assert.match(toml("[worker]\nconcurrency = 0\n"), /worker\.concurrency .*from 1 to 1000, got 0/u);
  assert.match(toml("[analytics]\nerror_rate_threshold = nan\n"), /a number from 0 to 1/u);
  assert.match(toml("[logging]\nlevel = 'loud'\n"), /one of debug, info, warn, error, silent, got "loud"/u);
  assert.match(toml("[common.cache]\nenabled = 1979-05-27\n"), /true or false/u);
  assert.match(toml("[http]\nallowed_hosts = ['ok', 3]\n"), /a list of at most 100 host names.*got \["ok",3\]/u);
  const environment = problemOf(() => loadConfig({ env: { TASKER_HTTP_PORT: "http" } }));
  assert.match(environment, /http\.port \(environment variable TASKER_HTTP_PORT\): .*got "http"/u);
});

test("all problems are reported at once, of every source", (t) => {
  const problems = problemsOf(() =>
    load(
      t,
      { "tasker.toml": "[http]\nport = -1\nprot = 1\n" },
      {
        env: { TASKER_WORKER_CONCURRENCY: "none", TASKER_FOO: "1" },
        overrides: { "logging.level": "loud" },
      },
    ),
  );
  assert.equal(problems.length, 5, problems.join("\n"));
});

test("no message holds a secret", (t) => {
  const file = [
    '[database]\nurl = "mysql://app:hunter2@db/x"',
    '[common.cache.redis]\nurl = "hunter2"',
    '[http]\nport = "${PASSWORD}"\nallowed_hosts = ["ok", "${PASSWORD} "]',
  ].join("\n");
  const env = { PASSWORD: "hunter2", DATABASE_URL: "hunter2", TASKER_COMMON_CACHE_KEY_PREFIX: "http://a:hunter2@b" };
  const problems = problemsOf(() => load(t, { "tasker.toml": file }, { env }));
  assert.equal(problems.length, 6, problems.join("\n"));
  assert.doesNotMatch(problems.join("\n"), /hunter2/u);
  assert.match(problems.join("\n"), /http\.port .*got "\$\{PASSWORD\}"/u);
  const syntax = problemOf(() => load(t, { "tasker.toml": 'x = 1\n[database]\nurl = "postgres://a:hunter2@b\n' }));
  assert.match(syntax, /tasker\.toml, line 3, column \d+: /u);
  assert.doesNotMatch(syntax, /hunter2/u);
});

test("a lease must survive one missed renewal", () => {
  const env = { TASKER_WORKER_LEASE_MS: "19999" };
  assert.match(
    problemOf(() => loadConfig({ env })),
    /lease_renew_ms \(10000\) must be at most half of .*lease_ms \(19999\)/u,
  );
  assert.equal(loadConfig({ env: { TASKER_WORKER_LEASE_MS: "20000" } }).worker.leaseMs, 20_000);
});

test("a file that is not there is a problem, a missing overlay is not unless it looks like a slip", (t) => {
  assert.match(
    problemOf(() => loadConfig({ file: join(tmpdir(), "no-such-tasker.toml"), env: {} })),
    /no-such-tasker\.toml cannot be read \(ENOENT\)/u,
  );
  const files = { "tasker.toml": "", "production.toml": "" };
  assert.match(
    problemOf(() => load(t, files, { env: { TASKER_ENV: "prodution" } })),
    /TASKER_ENV is prodution, but .* did you mean production\?/u,
  );
  assert.match(
    problemOf(() => load(t, files, { env: { TASKER_ENV: "../x" } })),
    /TASKER_ENV .* letters, digits/u,
  );
});

test("an unknown flag is refused like an unknown key", () => {
  const overrides = Object.fromEntries([["http.prt", 1]]);
  assert.match(
    problemOf(() => loadConfig({ env: {}, overrides })),
    /unknown key http\.prt; did you mean http\.port\?/u,
  );
});
