import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, type Stats, statSync } from "node:fs";
import { dirname, join } from "node:path";

import type { ServerUser } from "./server-user.ts";

const read = 0o4;
const enter = 0o1;

/** True when `user` can enter the folder and everything above it. By mode bits: access lists are not looked at. */
export function canEnter(folder: string, user: ServerUser): boolean {
  if (!permits(statSync(folder), user, enter)) return false;
  const parent = dirname(folder);
  return parent === folder || canEnter(parent, user);
}

/** True when `user` can enter the folder and read it. */
export function canRead(folder: string, user: ServerUser): boolean {
  return canEnter(folder, user) && permits(statSync(folder), user, read);
}

function permits(stats: Stats, user: ServerUser, permission: number): boolean {
  const shift = stats.uid === user.uid ? 6 : stats.gid === user.gid ? 3 : 0;
  return ((stats.mode >> shift) & permission) === permission;
}

/**
 * Makes a folder and what is missing above it, enterable for everyone whatever the umask. The modes of folders that were
 * there stay as they are.
 */
export function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  // Not mkdir's own recursion: Node 20's never returns where the system says that there is no such folder (in /proc).
  if (dirname(folder) !== folder) makeFolder(dirname(folder));
  try {
    mkdirSync(folder);
  } catch (error) {
    // Another process made it in this moment.
    if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw error;
    return;
  }
  chmodSync(folder, 0o755);
}

/** Lets everyone read a folder of ours with all that is in it, and run what its owner can run. */
export function openToAll(path: string): void {
  const stats = lstatSync(path);
  if (stats.isSymbolicLink()) return;
  chmodSync(path, stats.mode | (stats.isDirectory() || (stats.mode & 0o100) !== 0 ? 0o555 : 0o444));
  if (stats.isDirectory()) for (const name of readdirSync(path)) openToAll(join(path, name));
}
