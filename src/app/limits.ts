import { limitNamespace } from "../engine/limits.ts";
import type { Sql } from "../postgres/sql.ts";

/** Sets the limits of concurrent steps that the configuration names (`shop=10`); other namespaces keep what they have. */
export async function limitNamespaces(sql: Sql, limits: readonly string[]): Promise<void> {
  for (const limit of limits) {
    const [namespace = "", maxRunning] = limit.split("=");
    await limitNamespace(sql, namespace, Number(maxRunning));
  }
}
