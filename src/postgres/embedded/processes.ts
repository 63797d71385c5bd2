import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

import { type Clock, sleep } from "../../runtime/clock.ts";
import type { ServerUser } from "./server-user.ts";

const exitPollMs = 10;

/**
 * A text that belongs to one process only, since numbers of processes are given out again (in a container, after each start):
 * its number and the time of its start. Undefined when there is no such process, or when it has ended and only waits
 * for its parent to notice.
 */
export function processIdentity(pid: number): string | undefined {
  if (process.platform === "linux") return linuxIdentity(pid);
  if (!isListed(pid)) return undefined;
  if (process.platform === "win32") return String(pid);
  return `${pid} ${spawnSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).stdout.trim()}`;
}

function linuxIdentity(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in brackets and may contain anything; the fields behind it are plain (proc(5)).
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return undefined;
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return `${pid} ${fields[19]} ${boot}`;
  } catch {
    return undefined;
  }
}

/** True when the system has a process of this number, be it one that has ended and only waits for its parent to notice. */
export function isListed(pid: number): boolean {
  if (!Number.isInteger(pid)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it is there and belongs to someone else.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** The command line of a process, its arguments joined by spaces; undefined when it cannot be told. */
export function commandLine(pid: number): string | undefined {
  try {
    if (process.platform === "linux") return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
    if (process.platform === "win32") return undefined;
    return spawnSync("ps", ["-ww", "-o", "command=", "-p", String(pid)], { encoding: "utf8" }).stdout;
  } catch {
    return undefined;
  }
}

/** Waits until the process has ended. @returns false when it is still there after `timeoutMs`. */
export async function processEnded(clock: Clock, pid: number, timeoutMs: number): Promise<boolean> {
  const identity = processIdentity(pid);
  const deadline = clock.monotonicMs() + timeoutMs;
  while (identity !== undefined && processIdentity(pid) === identity) {
    if (clock.monotonicMs() >= deadline) return false;
    await sleep(clock, exitPollMs);
  }
  return true;
}

export interface CommandResult {
  /** Undefined when it could not be started or was killed. */
  readonly exitCode: number | undefined;
  readonly stderr: string;
}

/** Runs one of Postgres's programs to its end, as the server's user. Never rejects. */
export function runCommand(
  program: string,
  args: readonly string[],
  user: ServerUser | undefined,
): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { ...spawnOptions(user), stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      stderr = (stderr + chunk).slice(-8192);
    });
    child.once("error", (error) => resolve({ exitCode: undefined, stderr: error.message }));
    child.once("close", (code) => resolve({ exitCode: code ?? undefined, stderr }));
  });
}

/**
 * How Postgres's programs are spawned: in a folder that their user can enter, and with an environment that holds nothing of
 * ours (settings such as PGPORT and the locale would reach into the server).
 */
export function spawnOptions(user: ServerUser | undefined): {
  cwd: string;
  env: NodeJS.ProcessEnv;
  uid?: number;
  gid?: number;
  windowsHide: boolean;
} {
  return { cwd: "/", env: { LC_ALL: "C", TZ: "UTC" }, windowsHide: true, ...user };
}
