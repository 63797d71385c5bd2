// The product as it is built: what runs the sources here (tsx) adds to the cost of each function that they make.
import { join } from "node:path";

import type * as App from "../../src/app.ts";
import type * as Load from "../../src/config/load.ts";
import type * as Envelope from "../../src/cache/envelope.ts";
import type * as HttpServer from "../../src/http/server.ts";
import type * as HttpShell from "../../src/http/shell.ts";
import type * as Clock from "../../src/runtime/clock.ts";
import type * as Logging from "../../src/runtime/logging.ts";
import type * as Metrics from "../../src/runtime/metrics.ts";

const dist = join(import.meta.dirname, "..", "..", "dist");

export const { startApp } = await built<typeof App>("app.js", "startApp");
export const { loadConfig } = await built<typeof Load>("config/load.js", "loadConfig");
export const { entityTag } = await built<typeof Envelope>("cache/envelope.js", "entityTag");
export const { createHttpServer } = await built<typeof HttpServer>("http/server.js", "createHttpServer");
export const { createShell } = await built<typeof HttpShell>("http/shell.js", "createShell");
export const { systemClock } = await built<typeof Clock>("runtime/clock.js", "systemClock");
export const { createLogger } = await built<typeof Logging>("runtime/logging.js", "createLogger");
export const { createMetrics } = await built<typeof Metrics>("runtime/metrics.js", "createMetrics");

/** @throws when the program is not built (`npm run build`) */
async function built<Module extends object>(path: string, name: keyof Module): Promise<Module> {
  const module: unknown = await import(join(dist, path));
  if (!offers<Module>(module, name)) throw new Error(`${path} has no ${String(name)}`);
  return module;
}

function offers<Module extends object>(module: unknown, name: keyof Module): module is Module {
  return typeof module === "object" && module !== null && name in module;
}
