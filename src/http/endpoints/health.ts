import type { HealthProbe } from "../health-probe.ts";
import type { HttpServerOptions } from "../options.ts";
import type { Shell } from "../shell.ts";

/** `GET /health`: the report of everything that this process depends on. */
export function addHealth(shell: Shell, probe: HealthProbe, { version }: HttpServerOptions): void {
  shell.get("/health", async (_request, reply) => {
    const { healthy, checks } = await probe.report();
    reply.code(healthy ? 200 : 503);
    return { status: healthy ? "healthy" : "unhealthy", version, checks };
  });
}
