import type { Scope } from "../support/database.ts";
import { testDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { CommandCounts } from "../support/redis-commands.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { startTasker, type TestProcess } from "../support/tasker-process.ts";
import { startProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { type LoadProcess, startLoad } from "./http-load-process.ts";

export const ttlMs = 1_000;

/** What everybody asks for. */
const defaultPaths = ["/v1/analytics/performance", "/v1/analytics/bottlenecks"];

/** Asked for by few: they have a time to live and nothing beyond it. */
export const otherPaths = [
  "/v1/analytics/performance?hours=1",
  "/v1/analytics/performance?hours=168",
  "/v1/analytics/bottlenecks?limit=3",
  "/v1/analytics/bottlenecks?min_executions=2",
];

export const paths = [...defaultPaths, ...otherPaths];

/** Larger than the default: the machine of the tests has more to do than its processors can. */
export const commandBudgetMs = 1_000;

/** What a server says of its cache in redis, at `/health` and `/metrics`. */
export interface Figures {
  readonly since: string | undefined;
  readonly reason: string | undefined;
  readonly commands: number;
  readonly probes: number;
  readonly outages: number;
  /** Failures that were survived, by reason. */
  readonly errors: Readonly<Record<string, number>>;
}

/** A real `tasker serve`. */
export interface Server {
  readonly process: TestProcess;
  readonly url: string;
  figures(): Promise<Figures>;
}

export interface ServerOptions {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly nodeOptions?: readonly string[];
}

export async function startServer(scope: Scope, options: ServerOptions): Promise<Server> {
  const { databaseUrl, redisUrl, env = {}, nodeOptions = [] } = options;
  const process = startTasker(scope, ["serve", "--port", "0"], {
    env: {
      DATABASE_URL: databaseUrl,
      REDIS_URL: redisUrl,
      TASKER_COMMON_CACHE_BACKEND: "redis",
      TASKER_COMMON_CACHE_ANALYTICS_TTL_SECONDS: String(ttlMs / 1000),
      TASKER_COMMON_CACHE_STALE_WHILE_REVALIDATE_SECONDS: String(ttlMs / 1000),
      TASKER_COMMON_CACHE_REDIS_COMMAND_BUDGET_MS: String(commandBudgetMs),
      ...env,
    },
    nodeOptions,
  });
  const [, url = ""] = await process.printed(/listening on (http:\S+)/u);
  return { process, url, figures: () => figuresOf(url) };
}

async function figuresOf(url: string): Promise<Figures> {
  // A server that is busy beyond the deadline of its health says that alone.
  const check = await eventually(
    "health tells of the cache in redis",
    () => cacheCheckOf(url),
    (found) => found !== undefined,
  );
  if (check === undefined) throw new Error("unreachable: it was awaited");
  const { serving_without_redis_since: since, reason, figures } = check.detail;
  const count = (name: string): number => figures[`${name}_total`] ?? 0;
  const counts = { commands: count("commands"), probes: count("probes"), outages: count("outages") };
  const exposition = await (await fetch(`${url}/metrics`)).text();
  const errors = /^tasker_cache_errors_total\{provider="redis",context="analytics",reason="(\w+)"\} (\d+)$/gmu;
  const pairs = [...exposition.matchAll(errors)].map(([, why = "", n]) => [why, Number(n)] as const);
  return { since, reason, ...counts, errors: Object.fromEntries(pairs) };
}

async function cacheCheckOf(url: string): Promise<Check | undefined> {
  // As src/cache/health-checks.ts writes them.
  const { checks } = (await (await fetch(`${url}/health`)).json()) as { readonly checks: readonly Check[] };
  return checks.find(({ name }) => name === "cache analytics (redis)");
}

interface Check {
  readonly name: string;
  readonly detail: {
    readonly provider?: string;
    readonly reason?: string;
    readonly serving_without_redis_since?: string;
    readonly figures: Readonly<Record<string, number>>;
  };
}

/** Servers on one database and, by way of a proxy, one redis; under load. */
export interface LoadedFleet {
  readonly servers: readonly Server[];
  readonly redis: TestRedis;
  readonly proxy: TcpProxy;
  /** What the servers sent to redis. */
  readonly commands: CommandCounts;
  readonly load: LoadProcess;
}

/** Starts three servers and keeps 500 requests under way. Resolves when all use redis and all answers have been seen. */
export async function startLoadedFleet(scope: Scope): Promise<LoadedFleet> {
  const { url: databaseUrl } = await testDatabase(scope);
  const redis = await startRedis(scope);
  const commands = new CommandCounts();
  const proxy = await startProxy(scope, redis, { hear: () => commands.reader() });
  const redisUrl = `redis://127.0.0.1:${proxy.port}`;
  const servers = await Promise.all([1, 2, 3].map(() => startServer(scope, { databaseUrl, redisUrl })));
  const load = startLoad(scope, { servers: servers.map(({ url }) => url), paths, connections: 500 });
  const seen = new Set<string>();
  await eventually(
    "every server has answered every question",
    async () => {
      for (const name of Object.keys((await load.mark()).answers)) seen.add(name);
      return seen.size;
    },
    (size) => size === servers.length * paths.length,
  );
  return { servers, redis, proxy, commands, load };
}
