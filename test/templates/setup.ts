import { ConstrainedCacheProvider } from "../../src/cache/constraints.ts";
import type { CacheProvider } from "../../src/cache/contract.ts";
import { CacheKeys } from "../../src/cache/keys.ts";
import { WakeUps } from "../../src/engine/wake-ups.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { TaskSubmitter } from "../../src/templates/submit.ts";
import { TaskHandlerRegistry } from "../../src/templates/task-handler-registry.ts";
import { TemplateStore } from "../../src/templates/template-store.ts";
import { ManualClock } from "../support/clock.ts";

/** A cache that all processes share, as Redis would be; its entries can be seen and broken. */
export class SharedCache implements CacheProvider<"shared"> {
  readonly name = "shared";
  readonly reach = "shared";
  readonly entries = new Map<string, string>();

  async get(key: string): Promise<string | undefined> {
    return this.entries.get(key);
  }

  async set(key: string, value: string): Promise<void> {
    this.entries.set(key, value);
  }

  async delete(key: string): Promise<void> {
    this.entries.delete(key);
  }

  async deletePattern(): Promise<number> {
    return 0;
  }

  async healthCheck(): ReturnType<CacheProvider["healthCheck"]> {
    return { healthy: true, figures: {} };
  }

  async close(): Promise<void> {
    this.entries.clear();
  }
}

export interface TemplateSystem {
  readonly store: TemplateStore;
  readonly registry: TaskHandlerRegistry;
  readonly submitter: TaskSubmitter;
  readonly wakeUps: WakeUps;
  readonly clock: ManualClock;
}

/** The templates of one process; several may share a cache. */
export function templateSystem(
  db: Database,
  options: { readonly cache?: SharedCache; readonly allowGraphChange?: boolean } = {},
): TemplateSystem {
  const clock = new ManualClock();
  const cache = ConstrainedCacheProvider.create(options.cache ?? new SharedCache(), "templates", {
    chosen: true,
    clock,
    logger: silentLogger,
    metrics: { request: () => {}, error: () => {}, computed: () => {}, leaseWaited: () => {} },
  });
  const store = new TemplateStore({ cache, keys: new CacheKeys("test"), ttlMs: 60_000 });
  const allowGraphChange = options.allowGraphChange ?? false;
  const registry = new TaskHandlerRegistry({ database: db, store, logger: silentLogger, allowGraphChange });
  const wakeUps = new WakeUps(db, clock, silentLogger);
  return { store, registry, wakeUps, clock, submitter: new TaskSubmitter({ database: db, store, registry, wakeUps }) };
}
