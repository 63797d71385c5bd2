import assert from "node:assert/strict";

import { startApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config/load.ts";
import { migrate } from "../../src/postgres/migrate.ts";
import { type LogLine, recordingLogger } from "../http/recording-logger.ts";
import { openTestPool, type Scope } from "../support/database.ts";
import type { StandbyPair } from "../support/standby.ts";

interface Check {
  readonly name: string;
  readonly healthy: boolean;
  readonly detail: object;
}

/** A process that serves, on a database of the pair that it has for itself. */
export interface ReplicaProcess {
  readonly lines: readonly LogLine[];
  /** Asks both endpoints, whose answers are not cached, and checks that they answer. */
  readonly answers: () => Promise<void>;
  readonly metrics: () => Promise<string>;
  /** What the health says of the replica. Checks that the process is well. */
  readonly check: () => Promise<Check | undefined>;
}

/** Starts one as the `tasker serve` command composes it, in this process, with its environment; it is stopped after the scope. */
export async function replicaProcess(scope: Scope, pair: StandbyPair): Promise<ReplicaProcess> {
  await pair.db.query({ text: "create database app" });
  const inApp = (url: string): string => url.replace(/postgres$/u, "app");
  const env = { DATABASE_URL: inApp(pair.url), ANALYTICS_REPLICA_URL: inApp(pair.standbyUrl) };
  const overrides = { "http.port": 0, "common.cache.enabled": false };
  const own = openTestPool(env.DATABASE_URL, 2);
  await migrate(own);
  await own.close();
  await pair.replayed();
  const { logger, lines } = recordingLogger();
  const app = await startApp({ config: loadConfig({ env, overrides }), logger, serve: true });
  scope.after(() => app.stop());
  const get = async (path: string): Promise<{ readonly status: number; readonly text: string }> => {
    const response = await fetch((app.http?.address ?? "") + path);
    return { status: response.status, text: await response.text() };
  };
  return {
    lines,
    async answers() {
      for (const path of ["performance", "bottlenecks"]) {
        const { status, text } = await get(`/v1/analytics/${path}`);
        assert.equal(status, 200, text);
      }
    },
    metrics: async () => (await get("/metrics")).text,
    async check() {
      const { status, text } = await get("/health");
      assert.equal(status, 200, text);
      // Written by the server.
      const { checks } = JSON.parse(text) as { checks: Check[] };
      return checks.find(({ name }) => name === "analytics replica");
    },
  };
}
