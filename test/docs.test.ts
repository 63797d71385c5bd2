import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";

import { loadConfig } from "../src/config/load.ts";
import { canonicalPaths, environmentName } from "../src/config/schema.ts";
import {
  brokenLinks,
  codeBlocks,
  outdatedExamples,
  unknownScripts,
  unknownSettings,
  type Page,
  type Surroundings,
} from "./support/documents.ts";

const required = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];
const variables = new Set([...canonicalPaths.keys()].map(environmentName));

const repository: Surroundings = {
  read: (path) => {
    if (!existsSync(path)) return undefined;
    return statSync(path).isDirectory() ? "" : readFileSync(path, "utf8");
  },
  scripts: new Set(Object.keys((JSON.parse(readFileSync("package.json", "utf8")) as { scripts: object }).scripts)),
  isConfigKey: (path) => canonicalPaths.has(path),
  isConfigVariable: (name) => variables.has(name) || /^TASKER_(?:ENV|CONFIG|TEST_\w+)$/u.test(name),
};

function pages(): Page[] {
  const docs = existsSync("docs") ? readdirSync("docs", { recursive: true, encoding: "utf8" }) : [];
  const paths = docs.filter((name) => name.endsWith(".md")).map((name) => join("docs", name).replaceAll("\\", "/"));
  return [...required.filter((path) => existsSync(path)), ...paths].map((path) => ({
    path,
    text: readFileSync(path, "utf8"),
  }));
}

/** Loads a block as a configuration file; every variable that it names is set. */
function load(toml: string): void {
  const folder = mkdtempSync(join(tmpdir(), "tasker-docs-"));
  try {
    const file = join(folder, "tasker.toml");
    writeFileSync(file, toml);
    const names = [...toml.matchAll(/\$\{(\w+)\}/gu)].map(([, name = ""]) => name);
    loadConfig({ file, env: Object.fromEntries(names.map((name) => [name, exampleOf(name)])) });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function exampleOf(variable: string): string {
  if (!variable.endsWith("URL")) return "1";
  return variable.includes("REDIS") ? "redis://localhost" : "postgres://localhost/tasker";
}

describe("the documents", () => {
  test("the required ones are there", () => {
    assert.deepEqual(
      required.filter((path) => !existsSync(path)),
      [],
    );
  });

  for (const page of pages()) {
    test(`${page.path} is true`, () => {
      const problems = [brokenLinks, outdatedExamples, unknownScripts, unknownSettings].flatMap((check) =>
        check(page, repository),
      );
      assert.deepEqual(problems, []);
      for (const { language, text } of codeBlocks(page)) if (language === "toml") load(text);
    });
  }
});

describe("the checks of documents", () => {
  const read = (path: string): string | undefined => {
    const files: Record<string, string> = {
      docs: "",
      "docs/a.md": "# Two Words, `code`!\n## x\n## x\n",
      "examples/a.ts": "run();\n",
    };
    return files[path];
  };
  const surroundings: Surroundings = { ...repository, read, scripts: new Set(["test", "build"]) };
  const page = (text: string): Page => ({ path: "docs/b.md", text });

  test("a link to a file or heading that is not there is reported", () => {
    const right = "[a](a.md) [b](a.md#two-words-code) [c](../docs/) [d](a.md#x-1) [e](https://x.example/y) `[f](g.md)`";
    assert.deepEqual(brokenLinks(page(`${right}\n\`\`\`md\n[g](h.md)\n\`\`\`\n`), surroundings), []);
    for (const wrong of ["[a](b/a.md)", "![a](a.png)", "[a](a.md#three)", "[a](#none)", "[a]: none.md"]) {
      assert.equal(brokenLinks(page(wrong), surroundings).length, 1, wrong);
    }
  });

  test("an example that differs from its file is reported", () => {
    const block = (path: string, code: string): Page => page(`\`\`\`ts\n// file: ${path}\n${code}\n\`\`\`\n`);
    assert.deepEqual(outdatedExamples(block("examples/a.ts", "run();"), surroundings), []);
    assert.equal(outdatedExamples(block("examples/a.ts", "walk();"), surroundings).length, 1);
    assert.equal(outdatedExamples(block("examples/b.ts", "run();"), surroundings).length, 1);
  });

  test("a script that package.json does not have is reported", () => {
    assert.deepEqual(
      unknownScripts(page("`npm ci`, `npm test`, npm run build. `npm run --silent build`"), surroundings),
      [],
    );
    assert.equal(unknownScripts(page("npm start"), surroundings).length, 1);
    assert.equal(unknownScripts(page("`npm run checks`"), surroundings).length, 1);
  });

  test("a setting that the configuration does not have is reported", () => {
    const right = "`[http] port = 1`, TASKER_HTTP_PORT, TASKER_ENV, TASKER_TEST_REDIS_URL, TASKER_<SECTION>_<KEY>";
    assert.deepEqual(unknownSettings(page(right), surroundings), []);
    assert.equal(unknownSettings(page("`[http] prot`"), surroundings).length, 1);
    assert.equal(unknownSettings(page("TASKER_HTTP_PROT"), surroundings).length, 1);
  });

  test("a block of configuration is loaded", () => {
    load('[database]\nurl = "${DATABASE_URL}"\n');
    assert.throws(() => load("[http]\nprot = 1\n"), /did you mean http\.port/u);
  });
});
