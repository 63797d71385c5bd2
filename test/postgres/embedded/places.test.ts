import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";

import { canEnter, canRead, makeFolder } from "../../../src/postgres/embedded/access.ts";
import { locateBinaries, placeBinaries } from "../../../src/postgres/embedded/binaries.ts";
import { locateHome, systemFolder } from "../../../src/postgres/embedded/home.ts";
import { isRoot, nobody } from "../../../src/postgres/embedded/server-user.ts";
import { ask, startIn, temporaryFolder } from "../../support/embedded.ts";

const rootOnly = isRoot() ? false : "only root's server runs as another user";

function modeOf(path: string): number {
  return statSync(path).mode & 0o777;
}

describe("access by the bits of the mode", () => {
  test("needs every folder above to be open", (t) => {
    const top = temporaryFolder(t);
    const folder = join(top, "a", "b");
    makeFolder(folder);
    const stranger = { uid: 12_345, gid: 12_345 };
    assert.equal(canEnter(folder, stranger), true);
    assert.equal(canRead(folder, stranger), true);
    chmodSync(folder, 0o711);
    assert.equal(canEnter(folder, stranger), true);
    assert.equal(canRead(folder, stranger), false);
    chmodSync(join(top, "a"), 0o700);
    assert.equal(canEnter(folder, stranger), false);
    const { uid, gid } = statSync(folder);
    assert.equal(canEnter(folder, { uid, gid: 12_345 }), true);
    chmodSync(join(top, "a"), 0o710);
    assert.equal(canEnter(folder, { uid: 12_345, gid }), true);
    assert.equal(canEnter(folder, stranger), false);
  });

  test("is given to folders that are made, not to those that were there", (t) => {
    const top = temporaryFolder(t, 0o700);
    const before = process.umask(0o077);
    try {
      makeFolder(join(top, "a", "b"));
      makeFolder(join(top, "a", "b"));
    } finally {
      process.umask(before);
    }
    assert.equal(modeOf(top), 0o700);
    assert.equal(modeOf(join(top, "a")), 0o755);
    assert.equal(modeOf(join(top, "a", "b")), 0o755);
  });
});

describe("a folder that the server's user cannot enter", { skip: rootOnly }, () => {
  test("points to a system folder, where the cluster lives", async (t) => {
    const closed = temporaryFolder(t, 0o700);
    const asked = join(closed, "data");
    const server = await startIn(t, asked);
    // Hooks run in the order in which they were added: a server that the test left running is stopped after this one.
    t.after(() => rmSync(server.dataDir, { recursive: true, maxRetries: 10 }));
    assert.equal(dirname(server.dataDir), systemFolder());
    assert.equal(readFileSync(join(asked, "location"), "utf8"), `${server.dataDir}\n`);
    assert.equal(modeOf(closed), 0o700);
    await ask(server.connectionString, "create table kept as select 7 as n");
    await server.stop();
    const again = await startIn(t, asked);
    assert.equal(again.dataDir, server.dataDir);
    assert.deepEqual(await ask(again.connectionString, "select n from kept"), [{ n: 7 }]);
    await again.stop();
  });

  test("keeps its cluster when it is moved, and its successor gets another one", (t) => {
    const systems = temporaryFolder(t);
    const closed = temporaryFolder(t, 0o700);
    const home = locateHome(join(closed, "a"), [systems]);
    assert.equal(locateHome(join(closed, "a"), [systems]), home);
    renameSync(join(closed, "a"), join(closed, "b"));
    assert.notEqual(locateHome(join(closed, "a"), [systems]), home);
    assert.equal(locateHome(join(closed, "b"), [systems]), home);
  });

  test("passes over system folders that others may write to or that are closed", (t) => {
    const [open, closed, good] = [temporaryFolder(t), temporaryFolder(t, 0o700), temporaryFolder(t)];
    mkdirSync(join(open, "tasker-embedded"));
    chmodSync(join(open, "tasker-embedded"), 0o777);
    assert.equal(systemFolder(["/proc", open, closed, good]), join(good, "tasker-embedded"));
    assert.throws(() => systemFolder(["/proc", open]), { code: "data_dir_unusable" });
  });

  test("says what is wrong with a pointer that makes no sense", (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, "location"), "nonsense\n");
    assert.throws(() => locateHome(folder), { code: "data_dir_unusable", message: /remove the file/u });
  });
});

describe("the programs", () => {
  test("are those of the package for this platform", async (t) => {
    const { postgres, version } = await locateBinaries(undefined, temporaryFolder(t));
    const { stdout } = spawnSync(postgres, ["--version"], { encoding: "utf8" });
    assert.equal(stdout.trim(), `postgres (PostgreSQL) ${version.split(".").slice(0, 2).join(".")}`);
  });

  /** A package in miniature, without its link, as npm leaves it when install scripts are switched off. */
  function packageIn(folder: string): string {
    const root = join(folder, "package");
    for (const name of ["bin", "lib"]) makeFolder(join(root, "native", name));
    writeFileSync(join(root, "package.json"), `{"version": "18.0.0"}`);
    writeFileSync(join(root, "native", "bin", "postgres"), "", { mode: 0o700 });
    writeFileSync(join(root, "native", "lib", "libpq.so.5.18"), "", { mode: 0o600 });
    writeFileSync(
      join(root, "native", "pg-symlinks.json"),
      JSON.stringify([{ source: "native/lib/libpq.so.5.18", target: "native/lib/libpq.so.5" }]),
    );
    return root;
  }

  test("get the links that they miss", (t) => {
    const root = packageIn(temporaryFolder(t));
    for (let times = 0; times < 2; times += 1) {
      const { postgres } = placeBinaries(root, undefined, () => assert.fail("no copy is needed"));
      assert.equal(postgres, join(root, "native", "bin", "postgres"));
      assert.equal(readlinkSync(join(root, "native", "lib", "libpq.so.5")), "libpq.so.5.18");
    }
  });

  test("are copied once, readable for all, when their user cannot get to them", (t) => {
    const root = packageIn(temporaryFolder(t, 0o700));
    const copies = temporaryFolder(t);
    const { postgres } = placeBinaries(root, nobody, () => copies);
    assert.equal(postgres, join(copies, "postgres-18.0.0", "native", "bin", "postgres"));
    assert.ok(canRead(dirname(postgres), nobody));
    assert.equal(modeOf(postgres), 0o755);
    assert.equal(modeOf(join(postgres, "..", "..", "lib", "libpq.so.5.18")), 0o644);
    assert.ok(existsSync(realpathSync(join(postgres, "..", "..", "lib", "libpq.so.5"))));
    writeFileSync(join(copies, "postgres-18.0.0", "mark"), "");
    assert.equal(placeBinaries(root, nobody, () => copies).postgres, postgres);
    assert.ok(existsSync(join(copies, "postgres-18.0.0", "mark")));
  });
});
