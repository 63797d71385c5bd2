import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** A program of its own process that prints `listening <address>` when it is ready. */
export interface ServerProcess {
  readonly address: string;
  stop(): Promise<void>;
}

/** Starts a TypeScript program and waits until it listens. @throws when it ends before that */
export async function startServerProcess(program: string, args: readonly string[]): Promise<ServerProcess> {
  const child = spawn(process.execPath, ["--import", "tsx", program, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
  });
  return {
    address: await addressOf(child, program),
    async stop() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

function addressOf(child: ChildProcess, program: string): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${program} ended with ${code} before it listened`)));
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).on("line", (line) => {
      const address = /^listening (\S+)$/u.exec(line)?.[1];
      if (address !== undefined) resolve(address);
    });
  });
}
