import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

import { rules, type Files } from "./support/architecture.ts";
import { codeOnly, importsOf } from "./support/source-code.ts";

const folders = ["src", "test", "bench", "examples", "migrations"];

function repository(): Files {
  const paths = folders.filter(existsSync).flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => /\.(?:tsx?|sql)$/u.test(name))
      .map((name) => join(folder, name).replaceAll("\\", "/")),
  );
  return new Map(
    [...paths, "ARCHITECTURE.md"].map((path) => [path, existsSync(path) ? readFileSync(path, "utf8") : ""]),
  );
}

/** What must be reported: at least one file that breaks the rule, for each way to break it. */
const violations: Record<keyof typeof rules, readonly Readonly<Record<string, string>>[]> = {
  importDirection: [
    { "src/engine/claim.ts": 'import { serve } from "../http/server.ts";' },
    { "src/engine/claim.ts": 'import type { Options } from "../http/server.ts";' },
    { "src/analytics/a.ts": 'import { b } from "../templates/b.ts";' },
    { "src/cache/a.ts": 'export { b } from "../postgres/b.ts";' },
    { "src/runtime/clock.ts": 'import { now } from "../workflow/now.ts";' },
    { "src/runtime/clock.ts": 'const x = await import("../workflow/now.ts");' },
    { "src/config/a.ts": 'import { limit } from "../http/limit.ts";' },
    { "src/http/a.ts": 'import type { Config } from "../config/schema.ts";' },
    { "src/client/a.ts": 'import { parse } from "../http/parse.ts";' },
    { "src/client/a.ts": 'import type { Task } from "../engine/task.ts";' },
    { "src/cli/a.ts": 'import "../main.ts";' },
    { "src/app.ts": 'import { setup } from "../test/support/setup.ts";' },
    { "src/utils/a.ts": 'import { b } from "./b.ts";' },
    { "src/http/a.ts": 'import {\n  b, // of the worker\n} from "../app.ts";' },
  ],
  packagesAtHome: [
    { "src/engine/a.ts": 'import pg from "pg";' },
    { "src/cache/a.ts": 'import { Redis } from "ioredis";' },
    { "src/cache/providers/redis.ts": 'import { LRUCache } from "lru-cache";' },
    { "src/app.ts": 'import type { FastifyInstance } from "fastify";' },
    { "src/app.ts": 'import files from "@fastify/static";' },
    { "src/runtime/metrics.ts": 'import { pino } from "pino";' },
    { "src/runtime/logging.ts": 'import { Counter } from "prom-client";' },
    { "src/cli/a.ts": 'import { parse } from "smol-toml";' },
    { "src/main.ts": 'import { Command } from "commander";' },
  ],
  environmentInConfigOnly: [
    { "src/app.ts": "const url = process.env.DATABASE_URL;" },
    { "src/app.ts": 'const url = process["env"];' },
    { "src/app.ts": 'import { env } from "node:process";' },
  ],
  clocksInRuntimeOnly: [
    { "src/app.ts": "const now = new Date();" },
    { "src/app.ts": "const now = Date.now();" },
    { "src/app.ts": "setTimeout(stop, 10);" },
    { "src/app.ts": "setInterval(stop, 10);" },
    { "src/app.ts": "const start = performance.now();" },
    { "src/app.ts": "const signal = AbortSignal.timeout(10);" },
    { "src/app.ts": 'import { setTimeout as wait } from "node:timers/promises";' },
  ],
  runtimeIsClosed: [{ "src/runtime/util.ts": "" }],
  filesAreShort: [{ "test/a.test.ts": "\n".repeat(300) + "x" }, { "migrations/0001-a.sql": "--\n".repeat(301) }],
  noAny: [
    { "src/a.ts": "const x: any = 1;" },
    { "test/a.ts": "const x = y as any;" },
    { "bench/a.ts": "const x: Map<string, any> = y;" },
    { "src/a.ts": "function f(x: string | any[]) {}" },
  ],
  noDoubleCast: [{ "test/a.ts": "const x = y as unknown as Clock;" }],
  noSilencedCompiler: ["ignore", "nocheck"].map((word) => ({ "src/a.ts": `// @ts-${word}\nx();` })),
  noExportStar: [{ "src/a.ts": 'export * from "./b.ts";' }, { "src/a.ts": 'export type * from "./b.ts";' }],
  noCycles: [
    { "src/a.ts": 'import { b } from "./b.ts";', "src/b.ts": 'import { a } from "./a.ts";' },
    {
      "src/a.ts": 'import type { B } from "./x/b.ts";',
      "src/x/b.ts": 'import { c } from "../c.ts";',
      "src/c.ts": 'export { a } from "./a.ts";',
    },
  ],
  foldersAreDescribed: [{ "src/surprise/a.ts": "", "ARCHITECTURE.md": "src/ engine/" }],
};

/** What must not be reported by any rule. */
const innocent: Readonly<Record<string, string>> = {
  "ARCHITECTURE.md": "engine/ http/ config/ cache/ providers/ postgres/ runtime/ client/ workflow/",
  "src/engine/claim.ts": [
    'import type { Sql } from "../postgres/sql.ts";',
    'import { decide, type State } from "../workflow/decide.ts";',
    'import { sleep } from "../runtime/clock.ts";',
    "// setTimeout, Date.now(), process.env, any, `${as unknown as}` in a comment",
    'const text = "Date.now() as unknown as any; import x from \\"pg\\"";',
    "const parsed = new Date(text); const many = Promise.any([]); const o = { any: 1 };",
    "const template = `new Date() ${decide(`process.env`)} export * from`;",
    'const pattern = /setTimeout|import y from "pg"/u; socket.setTimeout(1);',
  ].join("\n"),
  "src/config/environment.ts": 'import type { Limits } from "../http/limits.ts";\nexport const env = process.env;',
  "src/client/client.ts": 'import type { Task } from "../http/task.ts";\nexport { type Task };',
  "src/runtime/clock.ts": "export const now = () => Date.now();",
  "src/cache/providers/memory.ts": 'import { LRUCache } from "lru-cache";',
  "src/main.ts": 'import "./app.ts";\nimport { run } from "./cli/run.ts";\nconst all = { ...run };',
};

describe("the architecture", () => {
  const files = repository();
  for (const [name, rule] of Object.entries(rules)) test(`${name} holds`, () => assert.deepEqual(rule(files), []));
});

describe("the rules of the architecture", () => {
  for (const [name, cases] of Object.entries(violations)) {
    test(`${name} reports what breaks it`, () => {
      const rule = Object.entries(rules).find(([known]) => known === name)?.[1];
      assert.ok(rule !== undefined && cases.length > 0);
      for (const files of cases) assert.notDeepEqual(rule(new Map(Object.entries(files))), [], JSON.stringify(files));
    });
  }

  test("none reports what is in order", () => {
    const files = new Map(Object.entries(innocent));
    for (const [name, rule] of Object.entries(rules)) assert.deepEqual(rule(files), [], name);
  });
});

test("codeOnly keeps the code, the length and the lines", () => {
  const cases = [
    ["a / b / c", "a / b / c"],
    ['"a\\"b" + \'c\'', "\"    \" + ' '"],
    ['x = /[/"]/u.y', "x = /    /u.y"],
    ["`a${ {b: `c`} }d`", "`  { {b: ` `} } `"],
    ["/* a\nb */ c // d", "    \n     c     "],
  ] as const;
  for (const [source, expected] of cases) {
    const code = codeOnly(source);
    assert.equal(code.length, source.length, source);
    assert.equal(code.split("\n").length, source.split("\n").length);
    assert.equal(code.replaceAll(/\s/gu, ""), expected.replaceAll(/\s/gu, ""), source);
  }
});

test("importsOf finds every form of import and knows which leave nothing at run time", () => {
  const source = [
    'import a from "a";',
    "import * as b from 'b';",
    'import type { C } from "c";',
    'import d, { type D } from "d";',
    'import {\n  type E,\n} from "e";',
    'import "f";',
    'export { g } from "g";',
    'export type { H } from "h";',
    'const i = await import("i");',
    'import type from "j";',
    'const text = `import k from "k"`;',
    'export const from = "l";',
  ].join("\n");
  const names = importsOf(source, codeOnly(source)).map(
    ({ specifier, typeOnly }) => specifier + (typeOnly ? " type" : ""),
  );
  assert.deepEqual(names.toSorted(), ["a", "b", "c type", "d", "e", "f", "g", "h type", "i", "j"]);
});
