import assert from "node:assert/strict";
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";

import { processEnded } from "../../../src/postgres/embedded/processes.ts";
import { sqlState } from "../../../src/postgres/sqlstate.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { deferred } from "../../support/deferred.ts";
import { ask, postmasterPid, startIn, temporaryFolder } from "../../support/embedded.ts";

describe("the data", () => {
  test("stay from one start to the next", async (t) => {
    const folder = join(temporaryFolder(t), "some", "where");
    const first = await startIn(t, folder);
    assert.equal(first.reused, false);
    assert.equal(first.dataDir, folder);
    await ask(first.connectionString, "create table kept as select 7 as n");
    await first.stop();
    await first.stop();
    const second = await startIn(t, folder);
    assert.equal(second.reused, false);
    assert.deepEqual(await ask(second.connectionString, "select n from kept"), [{ n: 7 }]);
  });
});

describe("a server", async () => {
  const { connectionString, dataDir } = await startIn({ after }, temporaryFolder({ after }));

  test("speaks UTF-8 and sorts by code points", async () => {
    const rows = await ask(
      connectionString,
      `select datlocprovider::text as provider, datlocale as locale, pg_encoding_to_char(encoding) as encoding,
              'Z' < 'a' as by_code, upper('ä') as upper
       from pg_database where datname = current_database()`,
    );
    assert.deepEqual(rows, [{ provider: "b", locale: "C.UTF-8", encoding: "UTF8", by_code: true, upper: "Ä" }]);
  });

  test("has the settings that were asked for, and listens on the loopback only", async () => {
    const rows = await ask(
      connectionString,
      "select name, setting from pg_settings where name in ('fsync', 'listen_addresses', 'unix_socket_directories') order by name",
    );
    assert.deepEqual(rows, [
      { name: "fsync", setting: "off" },
      { name: "listen_addresses", setting: "127.0.0.1" },
      { name: "unix_socket_directories", setting: "" },
    ]);
  });

  test("has a long password, in a file that only its owner can read", () => {
    const file = join(dataDir, "cluster", "password");
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const password = readFileSync(file, "utf8").trim();
    assert.ok(password.length >= 32);
    assert.equal(new URL(connectionString).password, password);
  });

  test("asks everyone who connects for it", async () => {
    for (const password of ["", "postgres"]) {
      const url = new URL(connectionString);
      url.password = password;
      await assert.rejects(ask(url.href, "select 1"), (error) => {
        assert.ok(error instanceof Error);
        return ("code" in error && error.code === sqlState.invalid_password) || /password/u.test(error.message);
      });
    }
    const methods = await ask(connectionString, "select distinct auth_method as method from pg_hba_file_rules");
    assert.deepEqual(methods, [{ method: "scram-sha-256" }]);
  });
});

describe("a server that ends by itself", () => {
  test("is told of, and the next start recovers what was committed", async (t) => {
    const folder = temporaryFolder(t);
    const exited = deferred<string>();
    const first = await startIn(t, folder, (reason) => {
      exited.resolve(reason);
      throw new Error("an observer that fails");
    });
    await ask(first.connectionString, "create table kept as select 7 as n");
    process.kill(postmasterPid(first.dataDir), "SIGKILL");
    assert.equal(await exited.promise, "signal SIGKILL");
    const second = await startIn(t, folder);
    assert.equal(second.reused, false);
    assert.deepEqual(await ask(second.connectionString, "select n from kept"), [{ n: 7 }]);
    await first.stop();
    assert.deepEqual(await ask(second.connectionString, "select 1 as n"), [{ n: 1 }]);
  });

  test("is not told of when it was stopped", async (t) => {
    const reasons: string[] = [];
    const server = await startIn(t, temporaryFolder(t), (reason) => reasons.push(reason));
    const pid = postmasterPid(server.dataDir);
    await server.stop();
    assert.ok(await processEnded(systemClock, pid, 0));
    assert.deepEqual(reasons, []);
  });
});

describe("what cannot work", async () => {
  const folder = temporaryFolder({ after });
  const server = await startIn({ after }, folder);
  await server.stop();
  const cluster = join(server.dataDir, "cluster");

  test("a file in the place of the folder", async (t) => {
    const file = join(temporaryFolder(t), "file");
    writeFileSync(file, "");
    for (const path of [file, join(file, "below")]) {
      await assert.rejects(startIn(t, path), {
        code: "data_dir_unusable",
        message: new RegExp(`${file} is a file`, "u"),
      });
    }
  });

  test("a cluster of another major version", async (t) => {
    const file = join(cluster, "data", "PG_VERSION");
    const version = readFileSync(file);
    writeFileSync(file, "14\n");
    t.after(() => writeFileSync(file, version));
    await assert.rejects(startIn(t, folder), { code: "version_mismatch", message: /Postgres 14.*pg_dump/u });
  });

  test("a cluster whose password is gone", async (t) => {
    const file = join(cluster, "password");
    renameSync(file, `${file}-gone`);
    t.after(() => renameSync(`${file}-gone`, file));
    await assert.rejects(startIn(t, folder), { code: "password_missing", message: /restore it, or move/u });
  });

  test("a setting that Postgres does not know: the error has the end of the log, and the lock is free", async (t) => {
    const file = join(cluster, "data", "postgresql.auto.conf");
    writeFileSync(file, "nonsense = 1\n");
    t.after(() => writeFileSync(file, ""));
    await assert.rejects(startIn(t, folder), { code: "start_failed", message: /unrecognized.*nonsense/su });
    assert.ok(!existsSync(join(server.dataDir, "lock")));
  });
});
