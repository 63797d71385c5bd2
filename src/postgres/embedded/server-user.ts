import { statSync } from "node:fs";

import { EmbeddedPostgresError } from "./embedded-postgres-error.ts";

/** The user and group as whom the server runs. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/** `nobody` of Linux distributions. */
export const nobody: ServerUser = { uid: 65_534, gid: 65_534 };

/** True when this process is root on a system that has one. */
export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/**
 * As whom the server has to run: undefined means as this process. Postgres refuses root, so root runs it as the owner of the
 * cluster that is there already, else as `nobody`.
 */
export function serverUser(clusterDirectory: string): ServerUser | undefined {
  if (!isRoot()) return undefined;
  const owner = statSync(clusterDirectory, { throwIfNoEntry: false });
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  if (process.platform !== "linux") {
    throw new EmbeddedPostgresError(
      "unsupported_platform",
      "the embedded Postgres does not run as root here: run as an ordinary user, or set DATABASE_URL to a database of yours",
    );
  }
  return nobody;
}
