import type { HttpServerOptions } from "../options.ts";
import type { Shell } from "../shell.ts";

/** `GET /metrics`: for Prometheus. */
export function addMetrics(shell: Shell, { metrics }: HttpServerOptions): void {
  shell.get("/metrics", async (_request, reply) => {
    const { contentType, body } = await metrics.exposition();
    return reply.type(contentType).send(body);
  });
}
