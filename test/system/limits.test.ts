import assert from "node:assert/strict";
import { after, test } from "node:test";

import { startApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config/load.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { Tasker } from "../../src/tasker.ts";
import { defineTask } from "../../src/workflow/define-task.ts";
import { testDatabase } from "../support/database.ts";
import { Calls } from "../worker/setup.ts";

const { db, url } = await testDatabase({ after });

async function limits(): Promise<Record<string, number>> {
  const rows = await db.query<{ name: string; max: number }>({
    text: `select n.name, l.max_running as max from tasker.concurrency_limits l
      join tasker.task_namespaces n on n.id = l.namespace_id order by n.name`,
  });
  return Object.fromEntries(rows.map((row) => [row.name, row.max]));
}

async function start(namespaceLimits: readonly string[]): Promise<void> {
  const overrides = { "database.url": url, "engine.namespace_limits": namespaceLimits };
  const app = await startApp({ config: loadConfig({ env: {}, overrides }), logger: silentLogger });
  await app.stop();
}

test("a process sets the limits that its configuration names, and leaves those of others", async () => {
  await start(["mail=2", "shop=10"]);
  assert.deepEqual(await limits(), { mail: 2, shop: 10 });
  await start(["mail=3"]);
  assert.deepEqual(await limits(), { mail: 3, shop: 10 });
  await start([]);
  assert.deepEqual(await limits(), { mail: 3, shop: 10 });
});

test("a paused namespace runs nothing until its limit is raised, and then at once", async (t) => {
  const calls = new Calls<() => void>();
  const job = defineTask({ namespace: "paused", name: "job", version: "1.0.0" }).step(
    "only",
    () =>
      new Promise<void>((finish) => {
        calls.add(finish);
      }),
  );
  const tasker = await Tasker.start({ databaseUrl: url, tasks: [job], logger: silentLogger });
  t.after(() => tasker.stop());
  await tasker.limitConcurrency("paused", 0);
  const tasks = [await tasker.submit(job, null), await tasker.submit(job, null)];
  await tasker.limitConcurrency("paused", 1);
  const finish = await calls.next();
  await assert.rejects(tasker.limitConcurrency("paused", -1), RangeError);
  assert.equal(calls.waiting, 0);
  await tasker.limitConcurrency("paused", null);
  (await calls.next())();
  finish();
  await Promise.all(tasks.map((task) => task.result()));
});
