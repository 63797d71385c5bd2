import { execFileSync } from "node:child_process";
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

/** A server to start: its program and what it needs of the environment. */
export interface RedisBinary {
  readonly path: string;
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Names under which the server's program is found. The last is what Debian's `redis-tools` calls it: one program, which decides
 * by the name it is called with. That package is preferred to `redis-server`, which would also start a service.
 */
const programs = ["redis-server", "valkey-server", "redis-check-rdb"];
const debianPackage = "redis-tools";
/** What `redis-tools` needs beyond the packages that every Debian has. */
const debianLibraries = ["libjemalloc2", "liblzf1", "libatomic1"];

let found: RedisBinary | undefined;

/**
 * The server: on the PATH, else Debian's package, installed when root and otherwise unpacked into a cache folder. Tests that need
 * a redis fail when there is none to be had; they are never skipped.
 */
export function redisBinary(): RedisBinary {
  found ??= onPath() ?? unpackedBefore() ?? installed() ?? unpacked();
  if (found === undefined) {
    throw new Error(
      "The tests need a real Redis or Valkey. Install one (Debian: apt-get install redis-server; macOS: brew install redis), " +
        "so that redis-server or valkey-server is on the PATH",
    );
  }
  return found;
}

function onPath(): RedisBinary | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const paths = programs.flatMap((program) => folders.map((folder) => join(folder, program)));
  const path = paths.find(isExecutable);
  return path === undefined ? undefined : { path, env: process.env };
}

function installed(): RedisBinary | undefined {
  if (process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get")) return undefined;
  // Several files of tests may come here at once; the others wait for the first, and then have nothing to install.
  const install = ["-o", "DPkg::Lock::Timeout=120", "install", "-y", "--no-install-recommends", debianPackage];
  if (!runs("apt-get", install)) {
    runs("apt-get", ["-o", "DPkg::Lock::Timeout=120", "update"]);
    runs("apt-get", install);
  }
  return onPath();
}

const cacheFolder = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "tasker-test-redis");

function unpackedBefore(): RedisBinary | undefined {
  const path = join(cacheFolder, "usr", "bin", "redis-check-rdb");
  if (!isExecutable(path)) return undefined;
  const libraries = readdirSync(join(cacheFolder, "usr", "lib")).map((name) => join(cacheFolder, "usr", "lib", name));
  return { path, env: { ...process.env, LD_LIBRARY_PATH: libraries.join(delimiter) } };
}

function unpacked(): RedisBinary | undefined {
  if (!existsSync("/usr/bin/apt-get")) return undefined;
  mkdirSync(join(cacheFolder, ".."), { recursive: true });
  const folder = mkdtempSync(`${cacheFolder}-`);
  try {
    if (!runs("apt-get", ["download", debianPackage, ...debianLibraries], folder)) return undefined;
    for (const name of readdirSync(folder).filter((file) => file.endsWith(".deb"))) {
      if (!runs("dpkg-deb", ["-x", name, "."], folder)) return undefined;
    }
    // In one step, so that nobody meets half of it; whoever comes second finds it there.
    if (!existsSync(cacheFolder)) renameSync(folder, cacheFolder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return unpackedBefore();
}

function runs(command: string, args: readonly string[], cwd = "/"): boolean {
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    execFileSync(command, args, { cwd, env, stdio: ["ignore", "ignore", "pipe"] });
    return true;
  } catch (error) {
    console.error(`${command} ${args.join(" ")}: ${String(error)}`);
    return false;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
