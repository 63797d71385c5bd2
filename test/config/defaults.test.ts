import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { loadConfig } from "../../src/config/load.ts";
import { canonicalPaths, environmentName, fields } from "../../src/config/schema.ts";
import { readToml } from "../../src/config/toml-file.ts";

const file = "config/tasker.toml";
const lines = readFileSync(file, "utf8").split("\n");

test("config/tasker.toml is the built-in defaults", () => {
  assert.deepEqual(loadConfig({ file, env: {} }), loadConfig({ env: {} }));
});

test("every key of the schema stands in config/tasker.toml, once and in the schema's order", () => {
  const problems: string[] = [];
  const given = readToml(lines.join("\n"), file, {}, problems);
  assert.deepEqual(problems, []);
  assert.deepEqual(given.map(({ path }) => path).toSorted(), [...fields.keys()].toSorted());
});

test("each key of config/tasker.toml is explained by a comment above it", () => {
  const bare = lines.filter((line, index) => /^\w+ = /u.test(line) && lines[index - 1]?.startsWith("#") !== true);
  assert.deepEqual(bare, []);
});

test("every default is a value that the key accepts", () => {
  for (const [path, field] of fields) assert.deepEqual(field.accept(field.default), field.default, path);
});

test("each environment variable sets one key, and from it every key can be set", () => {
  const names = [...canonicalPaths.keys()].map(environmentName);
  assert.equal(new Set(names).size, names.length);
  for (const [path, field] of fields) {
    if (field.secret || path === "database.url") continue;
    const text = Array.isArray(field.default) ? "" : String(field.default);
    assert.deepEqual(field.acceptText(text), field.default, path);
  }
});
