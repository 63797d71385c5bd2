import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

import { canEnter, makeFolder } from "./access.ts";
import { EmbeddedPostgresError } from "./embedded-postgres-error.ts";
import { createExclusively } from "./exclusive-file.ts";
import { nobody, serverUser } from "./server-user.ts";

/** Folders in which root may keep what the server's user must reach; the first usable one is taken. */
export const systemFolders: readonly string[] = ["/var/lib", "/var/tmp", tmpdir()];

const pointerName = "location";

/**
 * The folder in which everything about the cluster lives: the asked one, unless the server's user cannot get there (root, and
 * a parent closed for others). Then it is a system folder named after the asked path, and the asked folder holds a file
 * `location` with its path. Creates what is missing; changes no folder that was there.
 *
 * The name ends at random, since only the pointer says whose cluster it is: when the asked folder was removed, its successor
 * begins anew, and when it was moved, the cluster stays with it.
 *
 * @throws EmbeddedPostgresError `data_dir_unusable`
 */
export function locateHome(asked: string, parents: readonly string[] = systemFolders): string {
  const folder = createAsked(asked);
  const pointer = join(folder, pointerName);
  if (!existsSync(pointer)) {
    const user = serverUser(clusterOf(folder));
    if (user === undefined || canEnter(folder, user)) return folder;
    const name = `${createHash("sha256").update(folder).digest("hex").slice(0, 12)}-${randomBytes(4).toString("hex")}`;
    createExclusively(pointer, `${join(systemFolder(parents), name)}\n`);
  }
  // Read even if it was to be written just now: another process may have been faster.
  const home = readPointer(pointer);
  makeFolder(home);
  return home;
}

/** Where the cluster lies in its home; made in one step together with its password, so that there is never half of one. */
export function clusterOf(home: string): string {
  return join(home, "cluster");
}

/** The folder of root's own things that the server's user can reach. Nobody else may be able to put anything into it. */
export function systemFolder(parents: readonly string[] = systemFolders): string {
  for (const parent of parents) {
    const folder = join(parent, "tasker-embedded");
    try {
      makeFolder(folder);
      const { uid, mode } = statSync(folder);
      if (uid === process.getuid?.() && (mode & 0o022) === 0 && canEnter(realpathSync(folder), nobody)) return folder;
    } catch {
      // Read-only or closed: the next one may do.
    }
  }
  throw new EmbeddedPostgresError(
    "data_dir_unusable",
    `the embedded Postgres runs as "nobody" because this process is root, and needs a folder that "nobody" can enter; ` +
      `none of ${parents.join(", ")} can be used. Run as an ordinary user, or set DATABASE_URL to a database of yours`,
  );
}

function createAsked(asked: string): string {
  const folder = resolve(asked);
  try {
    makeFolder(folder);
    if (!statSync(folder).isDirectory()) throw new Error("not a folder");
    return realpathSync(folder);
  } catch (error) {
    const file = nearest(folder);
    const problem = statSync(file).isDirectory()
      ? `cannot be created below ${file}`
      : `cannot be used: ${file} is a file`;
    throw new EmbeddedPostgresError("data_dir_unusable", `the data folder ${folder} ${problem}`, { cause: error });
  }
}

function nearest(path: string): string {
  return existsSync(path) ? path : nearest(dirname(path));
}

function readPointer(pointer: string): string {
  const target = readFileSync(pointer, "utf8").trim();
  if (target.startsWith("/")) return target;
  throw new EmbeddedPostgresError(
    "data_dir_unusable",
    `${pointer} should hold the absolute path of the cluster; remove the file`,
  );
}
