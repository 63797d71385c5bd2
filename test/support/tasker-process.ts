import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";

import type { Scope } from "./database.ts";

const root = join(import.meta.dirname, "../..");

/** How a process ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProcessOptions {
  /** Beside those of this process, from which everything that configures Tasker is left out. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default: the repository's root. */
  readonly cwd?: string;
  /** For Node itself, before the program. */
  readonly nodeOptions?: readonly string[];
  /** Default: true. Plain JavaScript starts sooner. */
  readonly isTypeScript?: boolean;
}

/** The `tasker` command as a process of its own. */
export function startTasker(scope: Scope, args: readonly string[], options?: ProcessOptions): TestProcess {
  return new TestProcess(scope, [...(options?.nodeOptions ?? []), join(root, "src/main.ts"), ...args], options);
}

/** Runs the `tasker` command to its end. */
export function runTasker(scope: Scope, args: readonly string[], options?: ProcessOptions): Promise<Ended> {
  return startTasker(scope, args, options).ended;
}

/** A TypeScript program that runs as a process of its own, and is killed after the scope if it still runs. */
export class TestProcess {
  /** Resolves when the process has ended and all its output is here. */
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #watchers = new Set<() => void>();
  #stdout = "";
  #stderr = "";
  #end: Ended | undefined;

  constructor(scope: Scope, args: readonly string[], options: ProcessOptions = {}) {
    const { env = {}, cwd = root, isTypeScript = true } = options;
    this.#child = spawn(
      process.execPath,
      [...(isTypeScript ? ["--import", import.meta.resolve("tsx")] : []), ...args],
      {
        cwd,
        env: { ...cleanEnvironment(), ...env },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => this.#notice(() => (this.#stdout += text)));
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => this.#notice(() => (this.#stderr += text)));
    this.ended = new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("close", (code, signal) => {
        const end = { code, signal, stdout: this.#stdout, stderr: this.#stderr };
        this.#notice(() => (this.#end = end));
        resolve(end);
      });
    });
    scope.after(async () => {
      if (this.#end === undefined) this.#child.kill("SIGKILL");
      await this.ended;
    });
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error("the process did not start");
    return pid;
  }

  get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  /** What it has written to standard error so far, where the log goes, line by line. */
  get logLines(): string[] {
    return this.#stderr.split("\n").filter((line) => line !== "");
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits until the standard output matches. Rejects, with all output, when the process ends without that. */
  printed(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#matched(pattern, () => this.#stdout);
  }

  /** The same for standard error, where the log goes. */
  logged(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#matched(pattern, () => this.#stderr);
  }

  #matched(pattern: RegExp, written: () => string): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const match = pattern.exec(written());
        if (match === null && this.#end === undefined) return;
        this.#watchers.delete(look);
        if (match !== null) resolve(match);
        else reject(new Error(`ended without writing ${pattern}:\n${this.#stdout}\n${this.#stderr}`));
      };
      this.#watchers.add(look);
      look();
    });
  }

  #notice(change: () => void): void {
    change();
    for (const look of this.#watchers) look();
  }
}

/** A configuration of the machine that runs the tests must not decide what they see. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env);
  const ours =
    /^(?:TASKER_|DATABASE_URL$|ANALYTICS_REPLICA_URL$|NO_COLOR$|FORCE_COLOR$|NODE_OPTIONS$|NODE_TEST_CONTEXT$)/u;
  return Object.fromEntries(entries.filter(([name]) => !ours.test(name)));
}
