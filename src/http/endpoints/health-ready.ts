import type { HealthProbe } from "../health-probe.ts";
import type { Shell } from "../shell.ts";

/** `GET /health/ready`: whether requests should be sent here, yes or no. Load balancers ask it. */
export function addHealthReady(shell: Shell, probe: HealthProbe): void {
  shell.get("/health/ready", async (_request, reply) => {
    const { healthy } = await probe.report();
    reply.code(healthy ? 200 : 503);
    return { status: healthy ? "ready" : "not_ready" };
  });
}
