import { composeListener } from "../../src/app/compose.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import type { Service } from "../../src/runtime/lifecycle.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import type { TemplateName } from "../../src/workflow/template.ts";
import { openRedisCache } from "../cache/redis-support.ts";
import type { Scope } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { startProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { templateSystem, type TemplateSystem } from "./setup.ts";
import { WatchedCache } from "./watched-cache.ts";

/** A process whose way to redis a test can break. */
export interface Process extends TemplateSystem {
  readonly cache: WatchedCache;
  readonly proxy: TcpProxy;
  readonly listener: Service;
  /** What it has heard, and tried to forget: `shop/name`; and `review` for each time it looked through the cache. */
  readonly heard: readonly string[];
  readonly untilServing: (serving: boolean) => Promise<void>;
}

/** Several may share a database and a redis. The process does not listen yet. */
export async function startTemplateProcess(
  scope: Scope,
  {
    db,
    databaseUrl,
    redis,
  }: { readonly db: Database; readonly databaseUrl: string; readonly redis: { readonly port: number } },
): Promise<Process> {
  const proxy = await startProxy(scope, redis);
  const { provider, until } = await openRedisCache({ url: `redis://127.0.0.1:${proxy.port}`, commandBudgetMs: 1_000 });
  const cache = new WatchedCache(provider);
  const system = templateSystem(db, { cache, clock: systemClock });
  const heard: string[] = [];
  const templates = {
    async evict(template: TemplateName): Promise<void> {
      await system.store.evict(template);
      heard.push(template.name);
    },
    async reviewAll(): Promise<void> {
      await system.store.reviewAll();
      heard.push("review");
    },
  };
  const listener = composeListener(
    { logger: silentLogger, wakeUps: { senderId: "" } },
    databaseUrl,
    templates,
    undefined,
  );
  scope.after(async () => {
    await listener.stop();
    system.store.stop();
    await provider.close();
  });
  return { ...system, cache, proxy, listener, heard, untilServing: until };
}

export function untilHeard({ heard }: Process, what: string, times = 1): Promise<unknown> {
  return eventually(
    `it hears of ${what}`,
    async () => heard.filter((one) => one === what).length,
    (count) => count >= times,
  );
}

/** Resolves when it listens, and has looked through the cache once. */
export async function startListening(process: Process): Promise<void> {
  await process.listener.start();
  await untilHeard(process, "review");
}

/** Resolves when the process has noticed. */
export async function cutRedis({ proxy, untilServing }: Process): Promise<void> {
  proxy.cut();
  await untilServing(false);
}

/** Resolves when the process uses redis again. */
export async function mendRedis({ proxy, untilServing }: Process): Promise<void> {
  proxy.pass();
  await untilServing(true);
}
