import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

import { readCluster, superuser } from "../../src/postgres/embedded/cluster.ts";
import { runCommand } from "../../src/postgres/embedded/processes.ts";
import { connectionStringOf, startServer, stopServer } from "../../src/postgres/embedded/server.ts";
import { isRoot, nobody } from "../../src/postgres/embedded/server-user.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { settings, startJanitor, type TestCluster } from "./cluster.ts";

/** The oldest version that is supported, as Debian 12 has it. */
export const debianMajor = "15";
const major = debianMajor;
const folderOfDebian = `/usr/lib/postgresql/${major}/bin`;

const packages = [`postgresql-${major}`, `postgresql-client-${major}`];
/** What they need beyond the packages that every Debian has. */
const libraries =
  "libpq5 libllvm14 libxml2 libicu72 libldap-2.5-0 libsasl2-2 libgssapi-krb5-2 libedit2 libkrb5-3 libkrb5support0 " +
  "libk5crypto3 libkeyutils1 libbsd0 libmd0 libz3-4 libsystemd0";
const cacheFolder = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), `tasker-test-postgres-${major}`);

const startTimeoutMs = 120_000;

let found: string | undefined;

/**
 * The folder of Postgres 15's programs: where Debian puts them, else of its package, installed when root and otherwise unpacked
 * into a cache folder.
 *
 * @throws Error with the command to type when there is none to be had: what needs it is never skipped
 */
export function debianPostgres(): string {
  found ??= ofSystem() ?? (isRoot() ? installed() : (unpackedBefore() ?? unpacked()));
  if (found === undefined) {
    throw new Error(
      `The long tests need Postgres ${major}. Install it, so that its programs are in ${folderOfDebian}: ` +
        `apt-get install postgresql-${major} (Debian 12)`,
    );
  }
  return found;
}

function ofSystem(): string | undefined {
  return isExecutable(join(folderOfDebian, "postgres")) ? folderOfDebian : undefined;
}

function installed(): string | undefined {
  if (!existsSync("/usr/bin/apt-get")) return undefined;
  // The package would make a cluster of its own and start it; ours are elsewhere.
  const config = "/etc/postgresql-common/createcluster.conf";
  if (!existsSync(config)) {
    mkdirSync("/etc/postgresql-common", { recursive: true });
    writeFileSync(config, "create_main_cluster = false\n");
  }
  const quietly = ["-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Options::=--force-confold", "-y"];
  const install = [...quietly, "--no-install-recommends", "install", ...packages];
  if (!runs("apt-get", install)) {
    runs("apt-get", ["-o", "DPkg::Lock::Timeout=120", "update"]);
    runs("apt-get", install);
  }
  return ofSystem();
}

/** Where the unpacked programs can be called: each by a script that says where its libraries are. */
const unpackedBin = join(cacheFolder, "bin");

function unpackedBefore(): string | undefined {
  return isExecutable(join(unpackedBin, "postgres")) ? unpackedBin : undefined;
}

function unpacked(): string | undefined {
  if (!existsSync("/usr/bin/apt-get")) return undefined;
  mkdirSync(join(cacheFolder, ".."), { recursive: true });
  const folder = mkdtempSync(`${cacheFolder}-`);
  try {
    if (!runs("apt-get", ["download", ...packages, ...libraries.split(" ")], folder)) return undefined;
    for (const name of readdirSync(folder).filter((file) => file.endsWith(".deb"))) {
      if (!runs("dpkg-deb", ["-x", name, "."], folder)) return undefined;
      rmSync(join(folder, name));
    }
    writeScripts(folder);
    // In one step, so that nobody meets half of it; whoever comes second finds it there.
    if (!existsSync(cacheFolder)) renameSync(folder, cacheFolder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return unpackedBefore();
}

/** The scripts name the place where the folder is going to be. */
function writeScripts(folder: string): void {
  mkdirSync(join(folder, "bin"));
  const places = ["usr/lib", "lib"].flatMap((lib) =>
    existsSync(join(folder, lib)) ? readdirSync(join(folder, lib)).map((name) => join(cacheFolder, lib, name)) : [],
  );
  for (const name of readdirSync(join(folder, folderOfDebian))) {
    const program = join(cacheFolder, folderOfDebian, name);
    const script = `#!/bin/sh\nLD_LIBRARY_PATH='${places.join(":")}' exec '${program}' "$@"\n`;
    writeFileSync(join(folder, "bin", name), script, { mode: 0o755 });
  }
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

/**
 * Starts a cluster of Postgres 15 in a temporary folder, on loopback, with a random password; as root it runs as nobody. It is
 * gone after `stop`, and soon after this process, however that ends.
 */
export async function startDebianCluster(): Promise<TestCluster> {
  const bin = debianPostgres();
  const binaries = {
    postgres: join(bin, "postgres"),
    initdb: join(bin, "initdb"),
    pgCtl: join(bin, "pg_ctl"),
    version: major,
  };
  const folder = mkdtempSync(join(tmpdir(), `tasker-test-${major}-`));
  // Root's server runs as nobody, who must be able to get in here.
  chmodSync(folder, 0o755);
  const janitor = startJanitor(folder);
  const home = join(folder, "postgres");
  const password = join(home, "cluster", "password");
  mkdirSync(join(home, "cluster"), { recursive: true });
  writeFileSync(password, `${randomBytes(24).toString("base64url")}\n`, { mode: 0o600 });
  const user = isRoot() ? nobody : undefined;
  if (user !== undefined) for (const path of [join(home, "cluster"), password]) chownSync(path, user.uid, user.gid);
  const made = await runCommand(
    binaries.initdb,
    [
      `--pgdata=${join(home, "cluster", "data")}`,
      `--username=${superuser}`,
      `--pwfile=${password}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--locale=C.UTF-8",
      "--no-sync",
    ],
    user,
  );
  const cluster = readCluster(home);
  if (made.exitCode !== 0 || cluster === undefined) throw new Error(`initdb of Postgres ${major}: ${made.stderr}`);
  const server = await startServer({
    cluster,
    binaries,
    user,
    clock: systemClock,
    settings,
    deadlineMs: systemClock.monotonicMs() + startTimeoutMs,
    onExit: () => {},
  });
  return {
    connectionString: connectionStringOf(cluster, server.port),
    async stop() {
      janitor.kill("SIGKILL");
      await stopServer(server, cluster, binaries, systemClock);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
