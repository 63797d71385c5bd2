import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";

const path = "docs/requirement.md";
const text = readFileSync(path, "utf8");

interface Reference {
  readonly file: string;
  readonly title: string;
}

const reference = /\[(test\/[^\]]+)\]\(\.\.\/([^)]+)\) "(.+?)"(?=;| \|)/gu;

/** The tests that a text refers to. Their titles may hold quotes. */
function referencesIn(prose: string): Reference[] {
  return [...prose.matchAll(reference)].map(([, shown = "", target = "", title = ""]) => {
    assert.equal(shown, target, "a link that names one file and leads to another");
    return { file: shown, title };
  });
}

/** The rows of all tables but their heads. */
function rowsOf(page: string): string[] {
  const lines = page.split("\n");
  return lines.filter((line, index) => line.startsWith("| ") && lines[index + 1]?.startsWith("|-") !== true);
}

/** What is wrong with a reference: no such file, one that no run takes up, or no such test in it. */
function problemOf({ file, title }: Reference, read: (path: string) => string | undefined): string | undefined {
  const source = read(file);
  if (source === undefined) return `${file} is not there`;
  const isRun = file.endsWith(".test.ts") || file.startsWith("test/contracts/");
  if (!isRun) return `${file} is not run by npm test`;
  // The first argument of a call: of `test`, or of a suite's own that opens what each of its tests needs.
  const calls = ['"', "`"].map((quote) => `(${quote}${title}${quote},`);
  const isTest = source.split("\n").some((line) => calls.some((call) => /^ *\w+\(/u.test(line) && line.includes(call)));
  return isTest ? undefined : `${file} has no test "${title}"`;
}

const ofDisk = (file: string): string | undefined => (existsSync(file) ? readFileSync(file, "utf8") : undefined);

describe("docs/requirement.md", () => {
  test("names tests that exist", () => {
    const references = referencesIn(text);
    assert.ok(references.length > 40, `only ${references.length} tests are named`);
    assert.deepEqual(
      references.flatMap((one) => problemOf(one, ofDisk) ?? []),
      [],
    );
  });

  test("shows each row by a test, but for what is not built", () => {
    const rows = rowsOf(text);
    assert.ok(rows.length > 30);
    const bare = rows.filter((row) => referencesIn(row).length === 0);
    assert.deepEqual(
      bare.map((row) => row.split(" | ")[1]),
      ["not built, see above"],
    );
  });

  test("refers to tests in one way, so that none escapes being looked up", () => {
    const links = [...text.matchAll(/\]\(\.\.\/test\/[^)]+\)/gu)].length;
    const toItsOwn = 1;
    assert.equal(referencesIn(text).length, links - toItsOwn);
  });

  test("refers to contract suites that a test file runs", () => {
    assert.match(ofDisk("test/cache/providers.test.ts") ?? "", /^describeCacheProvider\(/mu);
    assert.match(ofDisk("test/cache/redis-contract.test.ts") ?? "", /^describeCacheProvider\(/mu);
  });
});

describe("looking up a test by its name", () => {
  const source = 'test("is there", () => {});\n  promise(`is ${so}`, async () => {});\n// test("is commented", no);\n';
  const read = (file: string): string | undefined => (file.includes("none") ? undefined : source);
  const problem = (title: string, file = "test/a.test.ts"): string | undefined => problemOf({ file, title }, read);

  test("finds it by its whole title only", () => {
    assert.equal(problem("is there"), undefined);
    assert.equal(problem("is ${so}"), undefined);
    for (const wrong of ["is", "there", "is not there", "is commented"]) {
      assert.match(problem(wrong) ?? "", /has no test/u);
    }
  });

  test("reports a file that is not there, or that nobody runs", () => {
    assert.match(problem("is there", "test/none.test.ts") ?? "", /is not there/u);
    assert.match(problem("is there", "test/a.ts") ?? "", /is not run/u);
  });

  test("takes a title with quotes to its end", () => {
    const row =
      '| a | b | [test/a.test.ts](../test/a.test.ts) "x ${y(" or ")}"; [test/b.test.ts](../test/b.test.ts) "z" |';
    assert.deepEqual(referencesIn(row), [
      { file: "test/a.test.ts", title: 'x ${y(" or ")}' },
      { file: "test/b.test.ts", title: "z" },
    ]);
  });
});
