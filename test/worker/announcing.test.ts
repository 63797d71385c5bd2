import assert from "node:assert/strict";
import { after, test } from "node:test";
import { isDeepStrictEqual } from "node:util";

import { startApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config/load.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { testDatabase } from "../support/database.ts";
import { moveClock, stopClock } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { handled } from "./handled.ts";
import { WorkerSystem } from "./setup.ts";

const { db, url } = await testDatabase({ after });
await stopClock(db);

/** Seconds that a worker's announcement still holds, and the steps that it names; null when there is none. */
async function announced(id: string): Promise<{ seconds: number; steps: string[] } | null> {
  const [row] = await db.query<{ seconds: number; steps: string[] }>({
    text: `select extract(epoch from w.expires_at - tasker.clock())::float8 as seconds,
        (select array_agg(i.task_name || ' ' || i.step_name) from tasker.analytics_identities i where i.id = any (w.named_step_ids)) as steps
      from tasker.live_workers w where w.id = $1`,
    values: [id],
  });
  return row ?? null;
}

const holds = (id: string, seconds: number) =>
  eventually(
    `it holds for ${seconds} s`,
    () => announced(id),
    (found) => found?.seconds === seconds,
  );

test("a worker is announced with its handlers as long as it lives, also when it has nothing to do", async (t) => {
  const { definition } = handled("announced");
  const { worker, advance } = await started(t, definition);
  await holds(worker.id, 30);
  assert.deepEqual((await announced(worker.id))?.steps, ["announced only"]);
  for (let i = 0; i < 5; i++) {
    await advance(10_000);
    await holds(worker.id, 30);
  }
  await worker.stop();
  assert.equal((await announced(worker.id))?.seconds, 0);
});

async function started(
  t: Parameters<typeof WorkerSystem.start>[0],
  definition: ReturnType<typeof handled>["definition"],
) {
  const system = await WorkerSystem.start(t, db, [definition]);
  return { worker: system.worker, advance: (ms: number) => system.advance(ms), system };
}

test("the health tells of live workers and of steps that none of them can claim; the process is well", async (t) => {
  const { calls, definition } = handled("unclaimed");
  const first = await started(t, definition);
  await first.worker.stop();
  const task = await first.system.submit(definition);
  const config = loadConfig({ env: {}, overrides: { "database.url": url, "http.port": 0 } });
  const app = await startApp({ config, logger: silentLogger, serve: true });
  t.after(() => app.stop());
  const workers = async (): Promise<unknown> => {
    const response = await fetch(`${app.http?.address ?? ""}/v1/system/health`);
    const { checks } = (await response.json()) as { checks?: { name: string }[] };
    return [response.status, checks?.find(({ name }) => name === "workers")];
  };
  // A machine that is slow for a moment answers a probe with 503.
  const becomes = (healthy: boolean, detail: object): Promise<unknown> =>
    eventually(`the health is ${JSON.stringify(detail)}`, workers, (check) =>
      isDeepStrictEqual(check, [200, { name: "workers", healthy, detail }]),
    );
  await becomes(true, { live: 0, unclaimable: [] });
  await moveClock(db, 61);
  const kind = { namespace_name: "shop", task_name: "unclaimed", version: "1.0.0", step_name: "only" };
  await becomes(false, { live: 0, unclaimable: [{ ...kind, steps: 1, steps_is_exact: true, oldest_seconds: 61 }] });
  await first.worker.start();
  (await calls.next()).finish(null);
  await first.system.ended(task);
  await becomes(true, { live: 1, unclaimable: [] });
});
