import assert from "node:assert/strict";
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

import { processEnded } from "../../../src/postgres/embedded/processes.ts";
import { isRoot } from "../../../src/postgres/embedded/server-user.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { ask, postmasterPid, startHolder, startIn, temporaryFolder } from "../../support/embedded.ts";

const nobody = 65_534;

describe("several processes on one folder", () => {
  test("that start at the same time share one server, which the one that started it stops", async (t) => {
    const folder = temporaryFolder(t);
    const holders = await Promise.all([1, 2, 3].map(() => startHolder(t, folder)));
    const [starter, ...others] = holders.toSorted((a, b) => Number(a.said.reused) - Number(b.said.reused));
    assert.ok(starter !== undefined);
    assert.equal(starter.said.reused, false);
    assert.ok(others.length === 2 && others.every(({ said }) => said.reused));
    assert.equal(new Set(holders.map(({ said }) => said.connectionString)).size, 1);
    for (const other of others) await other.finish();
    assert.deepEqual(await ask(starter.said.connectionString, "select 1 as n"), [{ n: 1 }]);
    const pid = postmasterPid(folder);
    await starter.finish();
    assert.ok(await processEnded(systemClock, pid, 0));
    assert.ok(!existsSync(join(folder, "lock")));
  });

  test("a second one in the same process connects too", async (t) => {
    const folder = temporaryFolder(t);
    const first = await startIn(t, folder);
    const second = await startIn(t, folder);
    assert.equal(second.reused, true);
    await second.stop();
    assert.deepEqual(await ask(first.connectionString, "select 1 as n"), [{ n: 1 }]);
  });
});

describe("a process that is killed", () => {
  test("leaves its server running; the next one finds it, keeps it and stops it", async (t) => {
    const folder = temporaryFolder(t);
    const holder = await startHolder(t, folder);
    await ask(holder.said.connectionString, "create table kept as select 7 as n");
    const pid = postmasterPid(folder);
    await holder.signal("SIGKILL");
    const next = await startIn(t, folder);
    assert.equal(next.reused, true);
    assert.equal(next.connectionString, holder.said.connectionString);
    assert.deepEqual(await ask(next.connectionString, "select n from kept"), [{ n: 7 }]);
    await next.stop();
    assert.ok(await processEnded(systemClock, pid, 0));
  });

  test("by Ctrl-C in its terminal does not take the server along", async (t) => {
    const folder = temporaryFolder(t);
    const holder = await startHolder(t, folder);
    await holder.signal("SIGINT");
    assert.deepEqual(await ask(holder.said.connectionString, "select 1 as n"), [{ n: 1 }]);
    await (await startIn(t, folder)).stop();
  });

  test("together with its server leaves files that do not hinder the next one", async (t) => {
    const folder = temporaryFolder(t);
    const holder = await startHolder(t, folder);
    await ask(holder.said.connectionString, "create table kept as select 7 as n");
    const pid = postmasterPid(folder);
    process.kill(pid, "SIGKILL");
    await holder.signal("SIGKILL");
    assert.ok(await processEnded(systemClock, pid, 10_000));
    const next = await startIn(t, folder);
    assert.equal(next.reused, false);
    assert.deepEqual(await ask(next.connectionString, "select n from kept"), [{ n: 7 }]);
  });
});

describe("a stale postmaster.pid", () => {
  test("whose number belongs to another program now does not hinder the start", async (t) => {
    const folder = temporaryFolder(t);
    const first = await startIn(t, folder);
    const file = join(first.dataDir, "cluster", "data", "postmaster.pid");
    const content = readFileSync(file, "utf8");
    await first.stop();
    writeFileSync(file, content.replace(/^\d+/u, String(process.pid)));
    const second = await startIn(t, folder);
    assert.equal(second.reused, false);
    assert.deepEqual(await ask(second.connectionString, "select 1 as n"), [{ n: 1 }]);
  });
});

describe("an ordinary user", () => {
  test("has a cluster too, and files that are the user's own", async (t) => {
    const folder = temporaryFolder(t);
    if (isRoot()) chownSync(folder, nobody, nobody);
    const holder = await startHolder(t, join(folder, "mine"), isRoot() ? nobody : undefined);
    assert.equal(holder.said.message, undefined);
    assert.equal(holder.said.dataDir, join(folder, "mine"));
    assert.deepEqual(await ask(holder.said.connectionString, "select 1 as n"), [{ n: 1 }]);
    const owner = isRoot() ? nobody : process.getuid?.();
    assert.equal(statSync(join(folder, "mine", "cluster", "data")).uid, owner);
  });

  test("is told when the folder is closed for it", async (t) => {
    const folder = temporaryFolder(t);
    mkdirSync(join(folder, "closed"));
    chmodSync(join(folder, "closed"), 0o555);
    const holder = await startHolder(t, join(folder, "closed"), isRoot() ? nobody : undefined);
    assert.equal(holder.said.code, "data_dir_unusable");
    assert.match(String(holder.said.message), /EACCES/u);
  });
});
