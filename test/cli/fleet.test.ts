import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

import { TaskerClient } from "../../src/client/client.ts";
import { testDatabase } from "../support/database.ts";
import { temporaryFolder } from "../support/embedded.ts";
import { eventually } from "../support/eventually.ts";
import { runTasker, startTasker } from "../support/tasker-process.ts";

const entry = new URL("../../src/index.ts", import.meta.url).href;

/** Writes a module of a user's into a folder; returns its path. */
function writeModule(folder: string, name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const greet = `
  import { defineTask } from ${JSON.stringify(entry)};
  export const greet = defineTask({ namespace: "test", name: "greet", version: "1.0.0" })
    .step("greet", ({ input }) => "hello " + input);
  export const helper = () => {};
`;

describe("the processes of a fleet", { timeout: 300_000 }, () => {
  test("tasker serve serves, tasker worker runs what a module defines, each until it is told to stop", async (t) => {
    const { url } = await testDatabase(t);
    const env = { DATABASE_URL: url, TASKER_HTTP_PORT: "0" };
    const module = writeModule(temporaryFolder(t), "tasks.ts", greet);
    const server = startTasker(t, ["serve"], { env });
    const worker = startTasker(t, ["worker", "--tasks", module, "--concurrency", "2"], { env });
    const [, address = ""] = await server.printed(/listening on (http:\S+)/u);
    await server.printed(/serving; Ctrl-C stops/u);
    await worker.printed(/1 template registered\n[^]*running steps; Ctrl-C stops/u);

    const client = new TaskerClient({ baseUrl: address });
    assert.equal((await client.health()).status, "healthy");
    const { id } = await client.createTask({ namespace: "test", name: "greet", version: "1.0.0", input: "Ada" });
    const task = await eventually(
      "the task is complete",
      () => client.task(id),
      ({ state }) => state === "complete",
    );
    assert.equal(task.steps[0]?.output, "hello Ada");
    await assert.rejects(client.createTask({ namespace: "test", name: "none", version: "1", input: 1 }), {
      name: "ApiError",
      code: "unknown_template",
    });

    for (const process of [server, worker]) {
      process.kill("SIGTERM");
      const { code, stdout, stderr } = await process.ended;
      assert.equal(code, 0, stderr);
      assert.ok(
        stdout.endsWith("stopping: steps and requests that run may finish (Ctrl-C again ends at once)\nstopped\n"),
      );
      for (const line of stderr.trim().split("\n")) assert.doesNotThrow(() => JSON.parse(line), line);
    }
  });

  test("tasker dev does both, on a database of one's own, with one's own tasks and without the demo", async (t) => {
    const { url } = await testDatabase(t);
    const module = writeModule(temporaryFolder(t), "tasks.ts", greet);
    const dev = startTasker(t, ["dev", "--port", "0", "--tasks", module], { env: { DATABASE_URL: url } });
    await dev.printed(/ready on 127\.0\.0\.1:\d+\n[^]*1 template registered\n/u);
    const [, address = ""] = await dev.printed(/listening on (http:\S+)\n\nCtrl-C stops\.\n/u);
    const client = new TaskerClient({ baseUrl: address });
    const { id } = await client.createTask({ namespace: "test", name: "greet", version: "1.0.0", input: "Bob" });
    await eventually(
      "the task is complete",
      () => client.task(id),
      ({ state }) => state === "complete",
    );
    dev.kill("SIGHUP");
    const { code, stdout } = await dev.ended;
    assert.equal(code, 0);
    assert.ok(stdout.endsWith("\nstopped\n"));
    assert.doesNotMatch(stdout, /migrations|demo|shop/u);
  });

  test("do not start on a database that lacks migrations, unless they may apply them", async (t) => {
    const { url } = await testDatabase(t, { migrated: false });
    const env = { DATABASE_URL: url };
    const refused = await runTasker(t, ["serve", "--port", "0"], { env });
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^error: migration 0001-\S+ is not applied .*Run: tasker migrate\n$/mu);
    assert.doesNotMatch(refused.stderr, /\n {4}at /u);
    const debugged = await runTasker(t, ["serve", "--port", "0", "--debug"], { env });
    assert.match(debugged.stderr, /\n {4}at /u);

    const server = startTasker(t, ["serve", "--port", "0", "--migrate"], { env });
    await server.printed(/migrations: \d+ applied\n[^]*serving; Ctrl-C stops/u);
    server.kill("SIGINT");
    assert.equal((await server.ended).code, 0);
  });

  test("a module that leaves something open does not keep a stopped worker", async (t) => {
    const { url } = await testDatabase(t);
    const module = writeModule(temporaryFolder(t), "open.ts", `${greet}\nsetInterval(() => {}, 1e9);\n`);
    const worker = startTasker(t, ["worker", "--tasks", module], { env: { DATABASE_URL: url } });
    await worker.printed(/running steps/u);
    worker.kill("SIGTERM");
    assert.equal((await worker.ended).code, 0);
  });
});
