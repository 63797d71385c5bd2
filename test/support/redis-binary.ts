import { join } from "node:path";

import { cacheFolderOf, findProgram, install, isExecutable, libraryPath, unpack } from "./debian-packages.ts";

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
  const path = findProgram(programs);
  return path === undefined ? undefined : { path, env: process.env };
}

function installed(): RedisBinary | undefined {
  return install(debianPackage) ? onPath() : undefined;
}

function unpackedBefore(): RedisBinary | undefined {
  const folder = cacheFolderOf("redis");
  const path = join(folder, "usr", "bin", "redis-check-rdb");
  if (!isExecutable(path)) return undefined;
  return { path, env: { ...process.env, LD_LIBRARY_PATH: libraryPath(folder) } };
}

function unpacked(): RedisBinary | undefined {
  return unpack("redis", [debianPackage, ...debianLibraries]) ? unpackedBefore() : undefined;
}
