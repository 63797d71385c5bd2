import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Redis } from "ioredis";
import type { Scope } from "./database.ts";
import { redisBinary } from "./redis-binary.ts";

/** A real Redis (or Valkey) of a test's own, on a free port of the loopback interface. */
export interface TestRedis {
  readonly url: string;
  readonly port: number;
  /** A connection of the test's own, for what the system under test must not do. */
  readonly admin: Redis;
  /** SIGSTOP: connections stay, nothing is answered. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts an empty one on the same port, with other arguments when they are given. Resolves when it takes connections. */
  restart(args?: readonly string[]): Promise<void>;
}

/** Arguments beyond the port, as in `["--requirepass", "secret"]`. */
export interface TestRedisOptions {
  readonly args?: readonly string[];
}

/** A Redis that may be shared with others: what TEST_REDIS_URL names, whose database is emptied, else one of the test's own. */
export async function sharedRedis(scope: Scope): Promise<{ readonly url: string; readonly admin: Redis }> {
  const given = process.env["TEST_REDIS_URL"];
  if (given === undefined || given === "") return startRedis(scope);
  const admin = adminOf(given);
  scope.after(async () => admin.disconnect());
  return { url: given, admin };
}

/** Starts a Redis; it is gone after the scope, and soon after this process, however that ends. */
export async function startRedis(scope: Scope, { args = [] }: TestRedisOptions = {}): Promise<TestRedis> {
  const folder = mkdtempSync(join(tmpdir(), "tasker-redis-"));
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}`;
  let server = await startServer(folder, port, args);
  const admin = adminOf(url);
  scope.after(async () => {
    admin.disconnect();
    await server.kill();
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    url,
    port,
    admin,
    freeze: () => server.signal("SIGSTOP"),
    thaw: () => server.signal("SIGCONT"),
    kill: () => server.kill(),
    async restart(again = args) {
      await server.kill();
      server = await startServer(folder, port, again);
    },
  };
}

interface Server {
  signal(name: "SIGSTOP" | "SIGCONT"): void;
  kill(): Promise<void>;
}

async function startServer(folder: string, port: number, args: readonly string[]): Promise<Server> {
  const { path, env } = redisBinary();
  const fixed = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no"];
  const child = spawn(path, [...fixed, ...args], {
    argv0: path.endsWith("redis-check-rdb") ? "redis-server" : path,
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const janitor = startJanitor(child.pid);
  await untilReady(child);
  return {
    signal: (name) => void child.kill(name),
    async kill() {
      child.kill("SIGKILL");
      await ended;
      janitor.kill("SIGKILL");
    },
  };
}

async function untilReady(child: ChildProcess): Promise<void> {
  if (child.stdout === null) throw new Error("the redis server has no standard output");
  const lines: string[] = [];
  for await (const line of createInterface(child.stdout)) {
    lines.push(line);
    if (/ready to accept connections|Loading RDB|DB saved on disk is being loaded/iu.test(line)) {
      child.stdout.resume();
      return;
    }
  }
  throw new Error(`the redis server did not start:\n${lines.join("\n")}`);
}

/** Ends the server when this process has ended without doing so. The end of its input tells it. */
export function startJanitor(pid: number | undefined): ChildProcess {
  const janitor = spawn("/bin/sh", ["-c", 'read -r _; kill -KILL "$0"', String(pid)], {
    cwd: "/",
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  janitor.unref();
  // A pipe is a socket; it must not keep this process alive.
  if (janitor.stdin instanceof Socket) janitor.stdin.unref();
  return janitor;
}

function adminOf(url: string): Redis {
  const admin = new Redis(url, { retryStrategy: () => 20, maxRetriesPerRequest: null, lazyConnect: true });
  // Tests kill the server: the connection comes back by itself.
  admin.on("error", () => undefined);
  return admin;
}

/** A port that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
