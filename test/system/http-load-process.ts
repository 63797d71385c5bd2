import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Scope } from "../support/database.ts";

export interface LoadOptions {
  /** As in `http://127.0.0.1:8080`. */
  readonly servers: readonly string[];
  readonly paths: readonly string[];
  /** Requests that are under way at any time. */
  readonly connections: number;
}

/** What became of requests. */
export interface Load {
  answered: number;
  /** Those that were not answered with 200: how many by status or error. */
  readonly failed: Record<string, number>;
  /** The different times of calculation in answers, by the number of the server, a blank and the path. */
  readonly answers: Record<string, string[]>;
}

export interface LoadProcess {
  /** What became of the requests that were answered since the last mark. */
  mark(): Promise<Load>;
}

/** Starts to load servers; ends with the scope. */
export function startLoad(scope: Scope, options: LoadOptions): LoadProcess {
  const child = fork(join(import.meta.dirname, "http-load.ts"), [JSON.stringify(options)], {
    execArgv: ["--import", "tsx"],
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const ended = once(child, "exit");
  scope.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return {
    async mark() {
      child.send("mark");
      // As http-load.ts writes it.
      const [load] = (await once(child, "message")) as [Load];
      return load;
    },
  };
}
