import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

import { importTasks } from "../../src/cli/task-module.ts";
import type { Scope } from "../support/database.ts";
import { temporaryFolder } from "../support/embedded.ts";

const entry = JSON.stringify(new URL("../../src/index.ts", import.meta.url).href);

function moduleOf(scope: Scope, text: string, name = "tasks.ts"): string {
  const path = join(temporaryFolder(scope), name);
  writeFileSync(path, text);
  return path;
}

describe("a module of tasks", () => {
  test("gives what it exports by name and in its default array, each definition once", async (t) => {
    const path = moduleOf(
      t,
      `import { defineTask } from ${entry};
       const make = (name: string) => defineTask({ namespace: "n", name, version: "1" }).step("s", () => 1);
       export const [a, b] = [make("a"), make("b")];
       export const other = 7;
       export function helper() {}
       export default [b, make("c"), null];`,
    );
    const names = (await importTasks(path)).map(({ name }) => name.name);
    assert.deepEqual(names.toSorted(), ["a", "b", "c"]);
  });

  test("may export one definition as its default", async (t) => {
    const path = moduleOf(
      t,
      `import { defineTask } from ${entry};
       export default defineTask({ namespace: "n", name: "a", version: "1" }).step("s", () => 1);`,
    );
    assert.equal((await importTasks(path)).length, 1);
  });

  const cases = [
    { what: "exports no definitions", text: "export const x = 1;", says: /exports no task definitions\. Export what/u },
    {
      what: "throws",
      text: 'throw new Error("no luck");',
      says: /cannot be imported \(Error: no luck\); --debug shows/u,
    },
    { what: "throws something else", text: "throw 7;", says: /importing the module failed with 7/u },
    { what: "is in a language that Node does not know", text: "", name: "tasks.tss", says: /does not run TypeScript/u },
  ];
  for (const { what, text, name, says } of cases) {
    test(`that ${what} is refused with a word on how to mend it`, async (t) => {
      const path = moduleOf(t, text, name);
      await assert.rejects(importTasks(path), (error: Error) => {
        assert.ok(error.message.startsWith(`--tasks ${path}: `), error.message);
        assert.match(error.message, says);
        return true;
      });
    });
  }

  test("that is not there is refused", async () => {
    await assert.rejects(importTasks("./no/such.ts"), { message: "--tasks ./no/such.ts: there is no such file" });
  });
});
