import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { testDatabase } from "../support/database.ts";
import { onlyRow } from "../support/engine.ts";
import { TestProcess } from "../support/tasker-process.ts";

const example = (name: string): string => new URL(`../../examples/${name}`, import.meta.url).pathname;

describe("the examples", { timeout: 60_000 }, () => {
  test("quickstart.ts defines a task, runs it and prints its result", async (t) => {
    const { url } = await testDatabase(t);
    const { ended } = new TestProcess(t, [example("quickstart.ts")], { env: { DATABASE_URL: url } });
    const { code, stdout, stderr } = await ended;
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^shipped: 2 items from shelf 1, paid by 1-[0-9a-f]{8}\n$/u);
  });

  for (const name of ["submit", "kysely", "drizzle", "prisma"]) {
    test(`transactional-${name}.ts commits an order with its task, or neither`, async (t) => {
      const { url, db } = await testDatabase(t, { migrated: false });
      const { ended } = new TestProcess(t, [example(`transactional-${name}.ts`)], { env: { DATABASE_URL: url } });
      const { code, stdout, stderr } = await ended;
      assert.equal(code, 0, stderr);
      assert.equal(stdout, "parcel 1 is on its way\nno order and no task: Bob has not paid\n");
      const text = `select (select array_agg(customer) from orders) as customers, (select count(*)::int from tasker.tasks) as tasks`;
      assert.deepEqual(await onlyRow(db, text), { customers: ["Ada"], tasks: 1 });
    });
  }
});
