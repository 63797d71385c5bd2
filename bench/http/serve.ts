/** A process that answers, by the product or by less and less of it. */
import { fastify } from "fastify";
import { createServer } from "node:http";

import type { AnalyticsService } from "../../src/analytics/analytics-service.ts";
import type { Answer } from "../../src/cache/read-through.ts";
import type { HttpServerOptions } from "../../src/http/server.ts";
import { answerWith, report, told } from "../support/child.ts";
import * as built from "./built.ts";
import { isServe, type Listening, type Serve, type ServerKind, type Used } from "./protocol.ts";

interface Server extends Listening {
  stop(): Promise<void>;
}

const loopback = { host: "127.0.0.1", port: 0 } as const;

const servers: Readonly<Record<ServerKind, (serve: Serve) => Promise<Server>>> = {
  node: serveNode,
  fastify: serveFastify,
  admission: serveAdmission,
  stub: serveStub,
  tasker: serveTasker,
};

const serve = await told(isServe);
const running = await servers[serve.kind](serve);
process.once("SIGTERM", () => {
  void running.stop().then(() => process.exit(0));
});
answerWith((): Used => {
  const { user, system } = process.cpuUsage();
  return { cpuMs: (user + system) / 1000 };
});
report({ origin: running.origin });

function serveNode({ body, headers }: Serve): Promise<Server> {
  const bytes = Buffer.from(body);
  const given = { "content-type": contentTypeOf(headers), "content-length": String(bytes.length) };
  const server = createServer((_request, response) => {
    response.writeHead(200, given);
    response.end(bytes);
  });
  return new Promise((resolve) => {
    server.listen(loopback, () => {
      const address = server.address();
      if (address === null || typeof address === "string") throw new Error("no address");
      resolve({ origin: `http://127.0.0.1:${address.port}`, stop: async () => void server.close() });
    });
  });
}

async function serveFastify({ path, body, headers }: Serve): Promise<Server> {
  const bytes = Buffer.from(body);
  const contentType = contentTypeOf(headers);
  const server = fastify();
  server.get(path, (_request, reply) => reply.header("content-type", contentType).send(bytes));
  return { origin: await server.listen(loopback), stop: () => server.close() };
}

async function serveAdmission({ path, body, headers }: Serve): Promise<Server> {
  const bytes = Buffer.from(body);
  const given = headersOf(headers);
  const { shell } = built.createShell(httpOptions(body));
  shell.get(path, (_request, reply) => reply.headers(given).send(bytes));
  return { origin: await shell.listen(loopback), stop: () => shell.close() };
}

async function serveStub({ body }: Serve): Promise<Server> {
  const server = built.createHttpServer(httpOptions(body));
  await server.start();
  return { origin: server.address ?? "", stop: () => server.stop() };
}

async function serveTasker({ databaseUrl }: Serve): Promise<Server> {
  const config = built.loadConfig({ env: {}, overrides: { "database.url": databaseUrl, "http.port": 0 } });
  const app = await built.startApp({ config, logger: built.createLogger({ level: "warn" }), serve: true });
  return { origin: app.http?.address ?? "", stop: () => app.stop() };
}

/** The settings of the product, over analytics that have one answer. */
function httpOptions(text: string): HttpServerOptions {
  const body = Buffer.from(text);
  const answer: Answer = {
    body,
    etag: built.entityTag(body),
    ageMs: 7_000,
    ttlMs: 60_000,
    staleWhileRevalidateMs: 30_000,
    staleIfErrorMs: 3_600_000,
    status: "hit",
    staleIfError: false,
    forwarded: undefined,
    stored: false,
    provider: "memory",
    computedAt: "2026-01-01T00:00:00.000000Z",
  };
  const nothing = (): Promise<never> => Promise.reject(new Error("nothing but answers is served here"));
  const analytics: Pick<AnalyticsService, keyof AnalyticsService> = {
    performance: async () => answer,
    bottlenecks: async () => answer,
    timeseries: nothing,
    backlog: nothing,
    step: nothing,
    compare: nothing,
  };
  return {
    ...loopback,
    bodyLimitBytes: 1_048_576,
    requestTimeoutMs: 30_000,
    allowedHosts: [],
    allowUnauthenticated: false,
    shutdownTimeoutMs: 10_000,
    analytics,
    submitter: { submit: nothing },
    database: { query: nothing },
    metrics: built.createMetrics(),
    logger: built.createLogger({ level: "warn" }),
    clock: built.systemClock,
    health: () => Promise.resolve({ healthy: true, checks: [] }),
    version: "0.0.0",
  };
}

function headersOf(json: string): Record<string, string> {
  const parsed: unknown = JSON.parse(json);
  if (typeof parsed !== "object" || parsed === null) throw new TypeError("no headers");
  return Object.fromEntries(Object.entries(parsed).map(([name, value]) => [name, String(value)]));
}

function contentTypeOf(json: string): string {
  return headersOf(json)["content-type"] ?? "application/json";
}
