import { CommanderError } from "commander";
import { environment } from "../config/environment.ts";
import { systemClock } from "../runtime/clock.ts";
import { exitCodeOf, explain } from "./explain.ts";
import { createProgram } from "./program.ts";
import { Terminal } from "./terminal.ts";

/** What keeps the process alive so long after its command is over was left open by a module of the user's. */
const lingerMs = 1000;

/**
 * Runs the command of a command line and sets the process's exit code: 0 when it did what it was asked to, 1 when it
 * could not, 2 when the command line is wrong.
 */
export async function run(args: readonly string[]): Promise<void> {
  const env = environment();
  const terminal = new Terminal(process.stdout, process.stderr, env["NO_COLOR"]);
  // Whoever read our output has left (`tasker … | head`): there is nobody to write to, and nothing is wrong.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit();
  });
  const program = createProgram({ terminal, env });
  try {
    await program.parseAsync([...args], { from: "user" });
    process.exitCode = 0;
  } catch (error) {
    terminal.live("");
    process.exitCode = exitCodeOf(error);
    // Commander has written its own already.
    if (!(error instanceof CommanderError)) terminal.writeError(`error: ${explain(error)}\n`);
    if (isDebugging(args) && error instanceof Error) terminal.writeError(`${stackOf(error)}\n`);
  }
  systemClock.schedule(lingerMs, () => process.exit(), { unref: true });
}

/** Also true for a command line that could not be parsed. */
function isDebugging(args: readonly string[]): boolean {
  return args.includes("--debug") || /--log-level[ =]debug\b/u.test(args.join(" "));
}

function stackOf(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\ncaused by ${stackOf(error.cause)}` : own;
}
