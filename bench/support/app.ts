import { type App, startApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { Config } from "../../src/config/schema.ts";
import { createLogger } from "../../src/runtime/logging.ts";
import type { AnyTaskDefinition } from "../../src/workflow/define-task.ts";

export interface BenchAppOptions {
  readonly url: string;
  readonly definitions: readonly AnyTaskDefinition[];
  /** Default: true. */
  readonly work?: boolean;
  readonly concurrency?: number | undefined;
  readonly foldIntervalMs?: number | undefined;
  /** Serve HTTP on a free port of loopback. Default: false. */
  readonly serve?: boolean;
}

/** The product as it is composed for everybody, with the built-in settings but for those given: the environment changes no figure. */
export function startBenchApp(options: BenchAppOptions): Promise<App> {
  return startApp({
    config: benchConfig(options),
    logger: createLogger({ level: "warn", pretty: true }),
    definitions: options.definitions,
    work: options.work ?? true,
    serve: options.serve ?? false,
    migrate: true,
  });
}

function benchConfig({ url, concurrency, foldIntervalMs }: BenchAppOptions): Config {
  return loadConfig({
    env: {},
    overrides: {
      "database.url": url,
      "worker.concurrency": concurrency,
      "maintenance.fold_interval_ms": foldIntervalMs,
      "http.port": 0,
    },
  });
}
