import assert from "node:assert/strict";
import { test } from "node:test";

import { interpolate } from "../../src/config/interpolate.ts";
import { loadConfig } from "../../src/config/load.ts";
import { readToml } from "../../src/config/toml-file.ts";

const env = { HOST: "db", EMPTY: "", TRICKY: "${HOST}" };

test("placeholders take the variable, or the default when it is unset or empty", () => {
  const cases = [
    ["plain", "plain"],
    ["${HOST}:1", "db:1"],
    ["${HOST}-${HOST}", "db-db"],
    ["${NONE:-x}", "x"],
    ["${EMPTY:-x}", "x"],
    ["${EMPTY}", ""],
    ["${NONE:-}", ""],
    ["${URL:-redis://localhost:6379}", "redis://localhost:6379"],
    ["${TRICKY}", "${HOST}"],
    ["$${HOST}", "${HOST}"],
    ["$HOST costs $5", "$HOST costs $5"],
  ] as const;
  for (const [template, expected] of cases) {
    const { text, problems } = interpolate(template, env);
    assert.equal(text, expected, template);
    assert.deepEqual(problems, [], template);
  }
});

test("a variable without default that is unset is a problem that names it", () => {
  const { problems } = interpolate("${A}/${B}", env);
  assert.equal(problems.length, 2);
  assert.match(problems[0] ?? "", /environment variable A, which is not set; set it or write \$\{A:-default\}/u);
});

test("a broken placeholder is a problem", () => {
  for (const template of ["${HOST", "${}", "${1X}", "${HOST-x}", "${A B}"]) {
    assert.match(interpolate(template, env).problems[0] ?? "", /broken placeholder/u, template);
  }
});

test("a placeholder may stand for a number, a flag or an item of a list", () => {
  const problems: string[] = [];
  const toml =
    '[http]\nport = "${PORT:-9000}"\nallow_unauthenticated = "${OPEN:-true}"\nallowed_hosts = ["${HOST}", "b"]\n';
  const given = readToml(toml, "test", env, problems);
  assert.deepEqual(problems, []);
  assert.deepEqual(
    given.map(({ value, isText }) => [value, isText]),
    [
      ["9000", true],
      ["true", true],
      [["db", "b"], false],
    ],
  );
});

test("a missing variable is reported once, with key and file", () => {
  const problems: string[] = [];
  readToml('[database]\nurl = "${PG_URL}"\n', "tasker.toml", env, problems);
  assert.equal(problems.length, 1);
  assert.match(problems[0] ?? "", /^database\.url in tasker\.toml needs the environment variable PG_URL/u);
});

test("what the environment gives is taken as it is", () => {
  assert.equal(
    loadConfig({ env: { DATABASE_URL: "postgres://u:a${b}c@h/x" } }).database.url,
    "postgres://u:a${b}c@h/x",
  );
});
