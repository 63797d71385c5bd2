import type { App, AppOptions } from "../app.ts";
import { systemClock } from "../runtime/clock.ts";
import type { CommandContext } from "./context.ts";
import { databaseHost } from "./settings.ts";
import { startReport } from "./start-report.ts";
import { type StopSignal, stopSignal } from "./stop-signal.ts";

/** As a shell tells of a process that SIGINT ended. */
const interruptedCode = 130;

/**
 * Runs a process of Tasker until a signal asks it to stop, and tells how it starts and stops. A second signal ends it at
 * once: leases then run out, and an embedded Postgres goes on until the next start finds it.
 *
 * @param whileRunning what the command does once everything runs; it should end soon after the stop is requested
 */
export async function runProcess(
  { terminal }: CommandContext,
  options: Omit<AppOptions, "onProgress">,
  whileRunning: (app: App, stop: StopSignal) => void | Promise<void>,
): Promise<void> {
  const stop = stopSignal(systemClock, () => {
    terminal.live("");
    terminal.writeError("ended at once; the next start goes on with what was running\n");
    process.exit(interruptedCode);
  });
  const { config } = options;
  const embeddedDir = config.database.url === "" ? config.embedded.dataDir : undefined;
  try {
    const onProgress = startReport(terminal, systemClock, embeddedDir ?? databaseHost(config));
    // Loaded here, because it takes most of a second: commands that run no such process answer at once.
    const { startApp } = await import("../app.ts");
    const app = await startApp({ ...options, onProgress });
    try {
      if (!stop.signal.aborted) await whileRunning(app, stop);
      await stop.requested;
    } finally {
      terminal.live("");
      terminal.print("stopping: steps and requests that run may finish (Ctrl-C again ends at once)");
      await app.stop();
    }
    const farewell = embeddedDir === undefined ? "" : `; your data is in ${embeddedDir}, start again to go on`;
    terminal.print(`stopped${farewell}`);
  } finally {
    stop.dispose();
  }
}
