import type { Shell } from "../shell.ts";

/** `GET /health/live`: yes, whatever else is down. Who restarts processes asks it. */
export function addHealthLive(shell: Shell): void {
  shell.get("/health/live", () => ({ status: "live" }));
}
