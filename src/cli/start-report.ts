import type { StartProgress } from "../app.ts";
import type { Clock } from "../runtime/clock.ts";
import { duration, plural } from "./format.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Prints a line for each phase of a start, with the time since the beginning.
 *
 * @param where how the database is called: a folder, or the host of DATABASE_URL
 */
export function startReport(terminal: Terminal, clock: Clock, where: string): (progress: StartProgress) => void {
  const startedMs = clock.monotonicMs();
  return (progress) => {
    const line = lineOf(progress, where);
    const passed = duration((clock.monotonicMs() - startedMs) / 1000).padStart(8);
    if (line !== undefined) terminal.print(`${terminal.style("dim", passed)}  ${line}`);
  };
}

function lineOf(progress: StartProgress, where: string): string | undefined {
  switch (progress.phase) {
    case "connected": {
      const { embedded, serverVersion } = progress;
      if (embedded === undefined) return `Postgres ${serverVersion} ready on ${where}`;
      const { host } = new URL(embedded.connectionString);
      return `Postgres ${serverVersion} ${embedded.reused ? "found running" : "ready"} on ${host} (data in ${where})`;
    }
    case "migrated": {
      const { length } = progress.applied;
      return length === 0 ? "migrations: all applied before" : `migrations: ${length} applied`;
    }
    case "registered":
      return progress.templates === 0 ? undefined : `${plural(progress.templates, "template")} registered`;
    case "listening":
      return progress.address === undefined ? undefined : `listening on ${progress.address}`;
  }
}
