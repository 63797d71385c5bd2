import { systemClock } from "../runtime/clock.ts";
import { stopSignal, type StopSignal } from "./stop-signal.ts";
import type { Terminal } from "./terminal.ts";

/** As a shell tells of a process that SIGINT ended. */
const interruptedCode = 130;

/**
 * Runs something until a signal asks to stop. A second signal ends the process at once: leases then run out, and an embedded
 * Postgres goes on until the next start finds it.
 */
export async function untilStopped(terminal: Terminal, work: (stop: StopSignal) => Promise<void>): Promise<void> {
  const stop = stopSignal(systemClock, () => {
    terminal.live("");
    terminal.writeError("ended at once; what was running is found again by the next start\n");
    process.exit(interruptedCode);
  });
  try {
    await work(stop);
  } finally {
    stop.dispose();
  }
}
