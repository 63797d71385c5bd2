import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, test } from "node:test";

import { codeOnly, importsOf } from "../support/source-code.ts";

/** What a file imports; types too, which are not loaded, unless only what is loaded counts. */
function imports(path: string, { loaded }: { readonly loaded: boolean }): string[] {
  const source = readFileSync(path, "utf8");
  const found = importsOf(source, codeOnly(source)).filter(({ typeOnly }) => !(loaded && typeOnly));
  return found.map(({ specifier }) => specifier);
}

/** A file and everything that it loads, near and far. */
function loadedBy(path: string, seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(path)) return seen;
  seen.add(path);
  for (const imported of imports(path, { loaded: true })) {
    const target = imported.startsWith(".") ? normalize(join(dirname(path), imported)) : imported;
    if (existsSync(target)) loadedBy(target, seen);
    else seen.add(imported);
  }
  return seen;
}

const within = (paths: ReadonlySet<string>, ...places: readonly string[]): string[] =>
  [...paths].filter((path) => places.some((place) => path.startsWith(place)));

describe("the layers of the analytics", () => {
  test("the queries know no cache and no HTTP", () => {
    const loaded = loadedBy("src/analytics/analytics-query-service.ts");
    assert.ok(loaded.has("src/analytics/performance-queries.ts"));
    assert.deepEqual(within(loaded, "src/cache/", "src/http/", "ioredis", "lru-cache"), []);
  });

  test("the service that caches knows no SQL and no HTTP", () => {
    const loaded = loadedBy("src/analytics/analytics-service.ts");
    assert.ok(loaded.has("src/cache/read-through.ts"));
    assert.deepEqual(within(loaded, "src/postgres/", "src/http/", "src/cache/providers/", "pg"), []);
    assert.doesNotMatch(readFileSync("src/analytics/analytics-service.ts", "utf8"), /select |from tasker\./u);
  });

  test("the endpoints validate and send, and know neither the cache nor SQL", () => {
    const endpoints = readdirSync("src/http/endpoints").filter((name) => name.startsWith("analytics-"));
    assert.deepEqual(endpoints.length, 7);
    for (const name of endpoints) {
      const path = join("src/http/endpoints", name);
      const forbidden = imports(path, { loaded: false }).filter((from) => /\/(?:cache|postgres)\//u.test(from));
      assert.deepEqual(forbidden, [], name);
      assert.doesNotMatch(readFileSync(path, "utf8"), /select |from tasker\./u);
    }
  });
});
