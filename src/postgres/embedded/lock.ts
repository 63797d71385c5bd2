import { randomUUID } from "node:crypto";
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";

import { processIdentity } from "./processes.ts";

/** A lock file that is held. */
export interface Lock {
  /** Removes the file, if it is still this one. */
  release(): void;
}

/**
 * Takes the lock file, unless a living process holds it. The file carries the identity of its holder, so the lock of a process
 * that was killed is taken over.
 *
 * It decides who starts and stops the server. It is not what keeps two servers off one cluster: that is Postgres's own
 * postmaster.pid.
 *
 * @returns undefined when another one holds it (possibly this very process, in another place).
 */
export function tryLock(path: string): Lock | undefined {
  const mine = `${processIdentity(process.pid) ?? process.pid}\n${randomUUID()}\n`;
  if (!create(path, mine)) {
    const theirs = read(path);
    if (theirs !== undefined && (isHeld(theirs) || !removeStale(path, theirs))) return undefined;
    if (!create(path, mine)) return undefined;
  }
  return {
    release() {
      if (read(path) === mine) rmSync(path, { force: true });
    },
  };
}

function isHeld(content: string): boolean {
  const identity = content.split("\n")[0] ?? "";
  return processIdentity(Number.parseInt(identity, 10)) === identity;
}

/** Creates the file with its content in one step (`link` fails when the name is taken), so that nobody reads half of it. */
function create(path: string, content: string): boolean {
  const draft = `${path}.${randomUUID()}`;
  writeFileSync(draft, content, { flag: "wx" });
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    return createWithoutLink(path, content);
  } finally {
    rmSync(draft, { force: true });
  }
}

/** For file systems that have no links: between its creation and its writing the file is empty, which is very short. */
function createWithoutLink(path: string, content: string): boolean {
  try {
    writeFileSync(path, content, { flag: "wx" });
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}

/**
 * Removes the lock of a dead process. Two processes may find it dead at the same time, and the slower one must not remove what
 * the faster one has created since: so the file is moved away first, and moved back when it is not the one that was read.
 */
function removeStale(path: string, content: string): boolean {
  const aside = `${path}.${randomUUID()}`;
  try {
    renameSync(path, aside);
  } catch {
    return false;
  }
  const stale = read(aside) === content;
  try {
    if (!stale) linkSync(aside, path);
  } catch {
    // Taken once more in between. Its former holder goes on with the server it started; the new one will find that running.
  }
  rmSync(aside, { force: true });
  return stale;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function errorCode(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
