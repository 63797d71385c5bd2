import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";

import { TaskerClient } from "../../src/client/client.ts";
import type { Scope } from "../support/database.ts";
import { temporaryFolder } from "../support/embedded.ts";
import { runTasker, startTasker, type TestProcess } from "../support/tasker-process.ts";

const timeout = 180_000;

/** Starts `tasker dev` in a data folder and waits until it listens. */
async function startDev(scope: Scope, dataDir: string, more: readonly string[] = []): Promise<[TestProcess, string]> {
  const dev = startTasker(scope, ["dev", "--port", "0", "--data-dir", dataDir, ...more]);
  const [, address = ""] = await dev.printed(/listening on (http:\S+)/u);
  return [dev, address];
}

/** The number of the Postgres that runs on a data folder, if one does. */
function postgresOf(dataDir: string): number | undefined {
  const file = join(dataDir, "cluster/data/postmaster.pid");
  return existsSync(file) ? Number.parseInt(readFileSync(file, "utf8"), 10) : undefined;
}

function assertGone(pid: number | undefined): void {
  assert.ok(pid !== undefined);
  assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
}

async function ask(address: string, path: string): Promise<{ readonly body: string; readonly status: string | null }> {
  const response = await fetch(`${address}/v1/analytics/${path}`);
  assert.equal(response.status, 200);
  return { body: await response.text(), status: response.headers.get("cache-status") };
}

describe("tasker dev", { timeout }, () => {
  test("runs the demo, answers from the cache, stops cleanly, and finds its data again", async (t) => {
    const dataDir = temporaryFolder(t);
    const [dev, address] = await startDev(t, dataDir);
    const { 0: story } = await dev.printed(/^[^]*Another task starts every 2 s\. Ctrl-C stops\.\n/u);
    assertTellsOfDemo(story, address);
    await assertAnswersFromCache(address);
    await assertCommandsAsk(t, address, story);

    const port = new URL(address).port;
    const second = await runTasker(t, ["dev", "--port", port, "--data-dir", dataDir]);
    assert.equal(second.code, 1);
    assert.match(second.stdout, /Postgres \S+ found running/u);
    assert.match(second.stderr, new RegExp(`^error: Port ${port} of 127\\.0\\.0\\.1 is in use\\. .*--port`, "u"));

    const postgres = postgresOf(dataDir);
    // As a Ctrl-C under npm: the terminal sends it to all, and npm passes it on.
    dev.kill("SIGINT");
    dev.kill("SIGINT");
    const ended = await dev.ended;
    assert.equal(ended.code, 0, ended.stderr);
    assert.ok(ended.stdout.endsWith(`stopped; your data is in ${dataDir}, start again to go on\n`));
    assert.equal(ended.stderr, "");
    assertGone(postgres);

    const [again, newAddress] = await startDev(t, dataDir, ["--no-demo"]);
    const [, tasks = ""] = await again.printed(/there are already (\d+) tasks/u);
    const { body } = await new TaskerClient({ baseUrl: newAddress }).performance();
    assert.ok(Number(tasks) >= 60);
    assert.ok(body.total_tasks >= 60);
    const restarted = postgresOf(dataDir);
    again.kill("SIGTERM");
    assert.equal((await again.ended).code, 0);
    assertGone(restarted);
  });

  test("ends when its port is in use, and takes the Postgres that it started along", async (t) => {
    const dataDir = temporaryFolder(t);
    const port = await occupyPort(t);
    const dev = startTasker(t, ["dev", "--port", String(port), "--data-dir", dataDir]);
    await dev.printed(/Postgres \S+ ready/u);
    const postgres = postgresOf(dataDir);
    const { code, stderr } = await dev.ended;
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^error: Port \d+ of 127\.0\.0\.1 is in use\. Choose another with --port \(0 takes a free one\)\n$/u,
    );
    assertGone(postgres);
  });
});

function assertTellsOfDemo(story: string, address: string): void {
  for (const line of [
    /Postgres 18\S* ready on 127\.0\.0\.1:\d+ \(data in /u,
    /migrations: \d+ applied/u,
    /3 templates registered/u,
    /60 tasks of shop\/fulfil_order 1\.0\.0, documents\/process_document 1\.0\.0, reports\/nightly_report 1\.0\.0/u,
    /60 of 60 ended/u,
    /all ended in .*: \d+ complete, 6 error/u,
    /the first failure: step publish, PermanentError: the site refuses the report/u,
    /charge_card +complete +[2-9] /u,
    /first +[\d.]+ m?s +Cache-Status: tasker; fwd=uri-miss; stored; ttl=\d+ +\d+ bytes\n +second +[\d.]+ m?s +Cache-Status: tasker; hit; ttl=\d+; detail=memory +the same bytes/u,
    /Step publish of reports\/nightly_report 1\.0\.0 fails in 30\.0 %/u,
  ]) {
    assert.match(story, line);
  }
  assert.ok(story.includes(`  curl -i "${address}/v1/analytics/performance?hours=1"\n`));
  assert.ok(story.includes(`  curl -i "${address}/v1/analytics/bottlenecks?hours=1&min_executions=1"\n`));
}

/** Of the questions that the demo has its reader ask, and of others. */
async function assertAnswersFromCache(address: string): Promise<void> {
  const asked = await ask(address, "performance?hours=1");
  assert.match(asked.status ?? "", /^tasker; hit/u);
  for (const path of ["performance?hours=2", "bottlenecks?hours=2&min_executions=1"]) {
    const [first, second] = [await ask(address, path), await ask(address, path)];
    assert.match(first.status ?? "", /^tasker; fwd=uri-miss; stored/u);
    assert.match(second.status ?? "", /^tasker; hit/u);
    assert.equal(first.body, second.body);
  }
  const client = new TaskerClient({ baseUrl: address });
  const { body: performance } = await client.performance({ hours: 2 });
  assert.ok(performance.completed_tasks + performance.failed_tasks >= 60);
  const { body: bottlenecks } = await client.bottlenecks({ hours: 2, min_executions: 1 });
  assert.equal(bottlenecks.slow_tasks.length, 3);
  assert.equal(bottlenecks.slow_steps[0]?.step_name, "aggregate");
}

async function assertCommandsAsk(t: TestContext, address: string, story: string): Promise<void> {
  const { body } = await ask(address, "performance?hours=2");
  const json = await runTasker(t, ["analytics", "performance", "--url", address, "--hours", "2", "--json"]);
  assert.deepEqual([json.code, json.stdout, json.stderr], [0, `${body}\n`, ""]);
  const table = await runTasker(t, [
    "analytics",
    "bottlenecks",
    "--url",
    address,
    "--hours",
    "2",
    "--min-executions",
    "1",
  ]);
  assert.equal(table.code, 0);
  assert.match(table.stdout, /^Bottlenecks: the last 2 h, all templates \(as of \S+ m?s ago, from the cache\)\n/u);
  assert.match(table.stdout, /\n {2}aggregate +reports\/nightly_report 1\.0\.0 /u);
  const [, id = ""] = /GET \/v1\/tasks\/(\S+)/u.exec(story) ?? [];
  assert.equal((await new TaskerClient({ baseUrl: address }).task(id)).state, "complete");
}

/** Listens on a free port until the scope is over. */
async function occupyPort(scope: Scope): Promise<number> {
  const server = createServer();
  const port = await new Promise<number>((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
  scope.after(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
      }),
  );
  return port;
}
