import { execFileSync } from "node:child_process";
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

/** The first of these programs on the PATH or in the folders. */
export function findProgram(programs: readonly string[], folders: readonly string[] = []): string | undefined {
  const all = [...(process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== ""), ...folders];
  return programs.flatMap((program) => all.map((folder) => join(folder, program))).find(isExecutable);
}

/** Installs a package, when this is root on a Debian. Several files of tests may come here at once: they take turns. */
export function install(name: string): boolean {
  if (process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get")) return false;
  const args = ["-o", "DPkg::Lock::Timeout=120", "install", "-y", "--no-install-recommends", name];
  return (
    runs("apt-get", args) || (runs("apt-get", ["-o", "DPkg::Lock::Timeout=120", "update"]) && runs("apt-get", args))
  );
}

/** The cache folder in which packages are unpacked under this name. */
export function cacheFolderOf(name: string): string {
  return join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), `tasker-test-${name}`);
}

/** Downloads packages and unpacks them into the cache folder of this name, without installing anything. Needs no root. */
export function unpack(name: string, packages: readonly string[]): boolean {
  if (!existsSync("/usr/bin/apt-get")) return false;
  const cacheFolder = cacheFolderOf(name);
  mkdirSync(join(cacheFolder, ".."), { recursive: true });
  const folder = mkdtempSync(`${cacheFolder}-`);
  try {
    if (!runs("apt-get", ["download", ...packages], folder)) return false;
    for (const file of readdirSync(folder).filter((entry) => entry.endsWith(".deb"))) {
      if (!runs("dpkg-deb", ["-x", file, "."], folder)) return false;
      rmSync(join(folder, file));
    }
    // In one step, so that nobody meets half of it; whoever comes second finds it there.
    if (!existsSync(cacheFolder)) renameSync(folder, cacheFolder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return true;
}

/** The folders of libraries below `usr/lib` of a folder of unpacked packages, as LD_LIBRARY_PATH wants them. */
export function libraryPath(folder: string): string {
  const lib = join(folder, "usr", "lib");
  return readdirSync(lib)
    .map((name) => join(lib, name))
    .join(delimiter);
}

export function runs(command: string, args: readonly string[], cwd = "/"): boolean {
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    execFileSync(command, args, { cwd, env, stdio: ["ignore", "ignore", "pipe"] });
    return true;
  } catch (error) {
    console.error(`${command} ${args.join(" ")}: ${String(error)}`);
    return false;
  }
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
