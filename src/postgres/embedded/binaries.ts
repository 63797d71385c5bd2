import { cpSync, existsSync, mkdtempSync, readFileSync, realpathSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join, relative } from "node:path";

import { canRead, openToAll } from "./access.ts";
import { EmbeddedPostgresError } from "./embedded-postgres-error.ts";
import { systemFolder } from "./home.ts";
import type { ServerUser } from "./server-user.ts";

/** Postgres's programs and the version of the package that brought them. */
export interface Binaries {
  readonly postgres: string;
  readonly initdb: string;
  readonly pgCtl: string;
  /** For example `18.4.0-beta.17`. */
  readonly version: string;
}

const platforms: ReadonlySet<string> = new Set([
  "linux-x64",
  "linux-arm64",
  "darwin-x64",
  "darwin-arm64",
  "windows-x64",
]);

/**
 * The programs of `@embedded-postgres/<platform>`, where `user` can run them.
 *
 * @param home folder of the cluster, where an ordinary user's copy goes; root's goes to a system folder.
 * @throws EmbeddedPostgresError `unsupported_platform`, `binaries_missing`
 */
export async function locateBinaries(user: ServerUser | undefined, home: string): Promise<Binaries> {
  return placeBinaries(await packageRoot(), user, () => (user === undefined ? home : systemFolder()));
}

/**
 * The programs in the package itself; in a copy when the package lies where `user` cannot get (a clone under /root), or when it
 * lacks its links and cannot be written to.
 */
export function placeBinaries(root: string, user: ServerUser | undefined, copies: () => string): Binaries {
  const version = packageVersion(root);
  const inPackage = join(root, "native");
  const usable = (user === undefined || canRead(join(inPackage, "bin"), user)) && linkedIfPossible(root);
  const native = usable ? inPackage : copyOf(root, join(copies(), `postgres-${version}`));
  const suffix = process.platform === "win32" ? ".exe" : "";
  const program = (name: string): string => join(native, "bin", name + suffix);
  return { postgres: program("postgres"), initdb: program("initdb"), pgCtl: program("pg_ctl"), version };
}

async function packageRoot(): Promise<string> {
  const platform = `${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  if (!platforms.has(platform)) {
    throw new EmbeddedPostgresError(
      "unsupported_platform",
      `there is no embedded Postgres for ${platform} (only for ${[...platforms].join(", ")}): set DATABASE_URL to a database of yours`,
    );
  }
  const name = `@embedded-postgres/${platform}`;
  try {
    // The package exports the paths of its programs and nothing else.
    const { postgres } = (await import(name)) as { postgres: string };
    return realpathSync(join(dirname(postgres), "..", ".."));
  } catch (error) {
    throw new EmbeddedPostgresError(
      "binaries_missing",
      `the package ${name} is not installed: run "npm install --include=optional", or set DATABASE_URL to a database of yours`,
      { cause: error },
    );
  }
}

function packageVersion(root: string): string {
  // npm does not install a package without a version.
  return (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version;
}

interface Link {
  readonly source: string;
  readonly target: string;
}

/** Makes the links that npm cannot pack; its install script does that, unless scripts are switched off. */
function linkedIfPossible(root: string): boolean {
  try {
    makeLinks(root);
    return true;
  } catch {
    return false;
  }
}

function makeLinks(root: string): void {
  const list = join(root, "native", "pg-symlinks.json");
  if (!existsSync(list)) return;
  // Written by the package's build.
  const links = JSON.parse(readFileSync(list, "utf8")) as Link[];
  for (const { source, target } of links) {
    const link = join(root, target);
    if (existsSync(link)) continue;
    try {
      symlinkSync(relative(dirname(link), join(root, source)), link);
    } catch (error) {
      // Another process made it in this moment.
      if (!existsSync(link)) throw error;
    }
  }
}

/** Made beside and renamed when it is complete. */
function copyOf(root: string, copy: string): string {
  if (!existsSync(copy)) {
    const unfinished = mkdtempSync(`${copy}-`);
    try {
      cpSync(join(root, "native"), join(unfinished, "native"), { recursive: true, verbatimSymlinks: true });
      makeLinks(unfinished);
      openToAll(unfinished);
      renameSync(unfinished, copy);
    } catch (error) {
      rmSync(unfinished, { recursive: true, force: true });
      // Another process has finished the same copy.
      if (!existsSync(copy)) throw error;
    }
  }
  return join(copy, "native");
}
