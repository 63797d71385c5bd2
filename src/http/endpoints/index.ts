import type { HttpServerOptions } from "../options.ts";
import type { RouteTable } from "../route-table.ts";
import type { Shell } from "../shell.ts";

/** `GET /`: what there is. */
export function addIndex(shell: Shell, routes: RouteTable, { version }: HttpServerOptions): void {
  shell.get("/", () => ({ name: "tasker", version, endpoints: routes.list() }));
}
