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
    const passed = duration((clock.monotonicMs() - startedMs) / 1000).padStart(8);
    for (const line of linesOf(progress, where)) terminal.print(`${terminal.style("dim", passed)}  ${line}`);
  };
}

function linesOf(progress: StartProgress, where: string): string[] {
  if (progress.phase === "connected") return [databaseLine(progress, where)];
  if (progress.phase === "migrated") return [migrationsLine(progress.applied.length)];
  if (progress.phase === "registered") {
    return progress.templates === 0 ? [] : [`${plural(progress.templates, "template")} registered`];
  }
  return progress.address === undefined ? [] : [`listening on ${progress.address}`];
}

function databaseLine(
  { embedded, serverVersion }: Extract<StartProgress, { readonly phase: "connected" }>,
  where: string,
): string {
  if (embedded === undefined) return `Postgres ${serverVersion} ready on ${where}`;
  const { host } = new URL(embedded.connectionString);
  return `Postgres ${serverVersion} ${embedded.reused ? "found running" : "ready"} on ${host} (data in ${where})`;
}

function migrationsLine(applied: number): string {
  return applied === 0 ? "migrations: all applied before" : `migrations: ${applied} applied`;
}
