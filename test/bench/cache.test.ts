import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

const program = join(import.meta.dirname, "..", "..", "bench", "cache", "main.ts");
const least = [
  "--rounds",
  "1",
  "--cpu-ms",
  "1",
  "--callers",
  "20",
  "--ttls",
  "1",
  "--ttl-ms",
  "200",
  "--processes",
  "2",
];

test("the benchmark of the cache measures everybody, says what callers got, and ends well", async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", program, ...least]);
  const row = (name: string): string[] => stdout.split("\n").filter((line) => line.startsWith(`${name}  `));

  const libraries = ["tasker", "async-cache-dedupe", "bentocache", "cacheable", "cache-manager"];
  // Hits of one key and of many, misses of a source that works and of one that fails.
  for (const name of libraries) assert.equal(row(name).length, 4, `${name} in\n${stdout}`);
  for (const name of ["lru-cache", "bentocache, object", "tasker, new parameters each time"]) {
    assert.equal(row(name).length, 2, `${name} in\n${stdout}`);
  }
  for (const name of ["ioredis get", "fleet find", "read-through without memory"]) {
    assert.equal(row(name).length, 1, `${name} in\n${stdout}`);
  }
  const [works = "", fails = ""] = row("tasker").slice(2);
  assert.match(works, /^tasker +1 +20 answers +\d+ +0 +20 answers$/u);
  assert.match(fails, /^tasker +1 +20 errors +\d+ +0 +20 errors$/u);
  assert.match(stdout, /one hot key in 2 processes .* computations per time to live .* \d+ answers, 0 failures/u);
  assert.doesNotMatch(stdout, /NaN|Infinity/u);
});
