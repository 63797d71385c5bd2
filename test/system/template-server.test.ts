import assert from "node:assert/strict";
import { test } from "node:test";

import { TaskerClient } from "../../src/client/client.ts";
import { CacheKeys } from "../../src/cache/keys.ts";
import { defineTask } from "../../src/workflow/define-task.ts";
import { testDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { startRedis } from "../support/redis.ts";
import { startTasker } from "../support/tasker-process.ts";
import { templateSystem } from "../templates/setup.ts";

const name = { namespace: "shop", name: "served", version: "1.0.0" };

test("a process that only serves HTTP deletes from redis what another process has registered anew", async (t) => {
  const { db, url } = await testDatabase(t);
  const redis = await startRedis(t);
  // A process without a way to redis: somebody else has to delete the entry.
  const { registry } = templateSystem(db);
  const register = (maxAttempts: number): Promise<void> =>
    registry.register([defineTask(name).step("only", { retry: { maxAttempts } }, () => null)]);
  await register(1);

  const env = { DATABASE_URL: url, REDIS_URL: redis.url, TASKER_HTTP_PORT: "0" };
  const server = startTasker(t, ["serve"], { env });
  const [, address = ""] = await server.printed(/listening on (http:\S+)/u);
  const client = new TaskerClient({ baseUrl: address });
  const cached = (): Promise<string | null> => redis.admin.get(new CacheKeys("tasker").template(...partsOf(name)));
  const listening = (): Promise<object[]> =>
    db.query({
      text: "select 1 from pg_stat_activity where query = 'listen \"tasker\"' and datname = current_database()",
    });
  await eventually("the server listens", listening, (rows) => rows.length === 1);
  const create = (): Promise<unknown> => client.createTask({ ...name, input: null });
  await eventually(
    "the template is cached",
    () => create().then(cached),
    (entry) => entry !== null,
  );

  await register(2);
  await eventually("the server has deleted the entry", cached, (entry) => entry === null);
  await eventually(
    "the new revision is cached",
    () => create().then(cached),
    (entry) => entry !== null,
  );
  const { text } = await metricsOf(address);
  assert.match(text, /tasker_cache_requests_total\{provider="redis",context="templates",result="miss"\} \d+/u);
});

function partsOf({ namespace, name: task, version }: typeof name): [string, string, string] {
  return [namespace, task, version];
}

async function metricsOf(address: string): Promise<{ readonly text: string }> {
  const response = await fetch(new URL("/metrics", address));
  return { text: await response.text() };
}
