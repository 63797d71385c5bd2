import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { environment } from "../../src/config/environment.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { within } from "./waiting.ts";

/** The product as it is installed. */
const program = join(import.meta.dirname, "..", "..", "dist", "main.js");
const patienceMs = 120_000;

/** A process of the product that listens. */
export interface Serving {
  /** As in `http://127.0.0.1:8080`. */
  readonly origin: string;
  /** Asks it to stop, and waits for that. */
  stop(): Promise<void>;
}

/**
 * Starts the built program and waits until it prints where it listens. It has the built-in settings but for those given.
 *
 * @param args the command and its flags
 * @throws when it is not built, or prints no address in time
 */
export async function startProgram(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Serving> {
  if (!existsSync(program)) throw new Error(`${program} is not there: npm run build`);
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...plainEnvironment(), ...env },
  });
  const ended = once(child, "exit");
  const stop = async (): Promise<void> => {
    child.kill("SIGINT");
    await ended;
  };
  try {
    const died = ended.then(() => Promise.reject(new Error(`tasker ${args.join(" ")} ended before it listened`)));
    const listening = Promise.race([addressIn(child.stdout), died]);
    return {
      origin: await within(systemClock, patienceMs, listening, `tasker ${args.join(" ")} does not listen`),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The first address of loopback in a program's output, which is read to its end. */
function addressIn(output: NodeJS.ReadableStream): Promise<string> {
  return new Promise((resolve) => {
    createInterface({ input: output }).on("line", (line) => {
      const [address] = /http:\/\/127\.0\.0\.1:\d+/u.exec(line) ?? [];
      if (address !== undefined) resolve(address);
    });
  });
}

/** This process' environment without what configures the product. */
function plainEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(environment()).filter(([name]) => name !== "DATABASE_URL" && !name.startsWith("TASKER_")),
  );
}
