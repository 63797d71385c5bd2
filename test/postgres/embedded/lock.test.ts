import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { createExclusively } from "../../../src/postgres/embedded/exclusive-file.ts";
import { tryLock } from "../../../src/postgres/embedded/lock.ts";
import { processIdentity } from "../../../src/postgres/embedded/processes.ts";
import { temporaryFolder } from "../../support/embedded.ts";

test("a lock is held until it is released", (t) => {
  const path = join(temporaryFolder(t), "lock");
  const lock = tryLock(path);
  assert.ok(lock);
  assert.equal(tryLock(path), undefined);
  lock.release();
  assert.ok(!existsSync(path));
  assert.ok(tryLock(path));
});

test("its release does not touch the lock of a successor", (t) => {
  const path = join(temporaryFolder(t), "lock");
  const first = tryLock(path);
  writeFileSync(path, "1 0 nobody\nlost\n");
  const second = tryLock(path);
  assert.ok(first !== undefined && second !== undefined);
  first.release();
  assert.equal(tryLock(path), undefined);
});

test("the lock of a process that is gone is taken over, also when its number was given out again", (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, "lock");
  for (const holder of ["999999999 1 x", `${process.pid} 1 another-start`, "", "nonsense"]) {
    writeFileSync(path, `${holder}\n`);
    const lock = tryLock(path);
    assert.ok(lock !== undefined, `the lock of ${JSON.stringify(holder)}`);
    assert.match(readFileSync(path, "utf8"), new RegExp(`^${process.pid} `, "u"));
    lock.release();
  }
  assert.deepEqual(readdirSync(folder), []);
});

test("the identity of a process stays the same while it lives, and differs from others'", () => {
  const mine = processIdentity(process.pid);
  assert.equal(processIdentity(process.pid), mine);
  assert.notEqual(processIdentity(process.ppid), mine);
  assert.equal(processIdentity(999_999_999), undefined);
});

test("a file is created once", (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, "file");
  assert.equal(createExclusively(path, "first"), true);
  assert.equal(createExclusively(path, "second"), false);
  assert.equal(readFileSync(path, "utf8"), "first");
  assert.deepEqual(readdirSync(folder), ["file"]);
});
