import type { HealthProbe } from "../health-probe.ts";
import type { HttpServerOptions } from "../options.ts";
import type { Shell } from "../shell.ts";

/** `GET /v1/system/health`, and the same at `/health` for who looks for it there: the report of everything that this process depends on. */
export function addHealth(shell: Shell, probe: HealthProbe, { version }: HttpServerOptions): void {
  for (const path of ["/health", "/v1/system/health"]) {
    shell.get(path, async (_request, reply) => {
      const { healthy, checks } = await probe.report();
      reply.code(healthy ? 200 : 503);
      return { status: healthy ? "healthy" : "unhealthy", version, checks };
    });
  }
}
