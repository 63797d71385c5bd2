import type { SharedCacheProvider } from "../../src/cache/contract.ts";
import { FleetCacheOf } from "../../src/cache/fleet.ts";
import { CacheKeys } from "../../src/cache/keys.ts";
import { WakeUps } from "../../src/engine/wake-ups.ts";
import type { Database } from "../../src/postgres/sql.ts";
import type { Clock } from "../../src/runtime/clock.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { TaskSubmitter } from "../../src/templates/submit.ts";
import { TaskHandlerRegistry } from "../../src/templates/task-handler-registry.ts";
import { TemplateStore } from "../../src/templates/template-store.ts";
import type { TemplateName } from "../../src/workflow/template.ts";
import { RecordingMetrics } from "../cache/support.ts";
import { ManualClock } from "../support/clock.ts";

export interface TemplateSystem {
  readonly store: TemplateStore;
  readonly registry: TaskHandlerRegistry;
  readonly submitter: TaskSubmitter;
  readonly wakeUps: WakeUps;
  /** Stands still unless the options say otherwise. */
  readonly clock: ManualClock;
  readonly metrics: RecordingMetrics;
}

export interface TemplateSystemOptions {
  /** What the processes share; default: templates go uncached. */
  readonly cache?: SharedCacheProvider;
  readonly allowGraphChange?: boolean;
  /** Default: one that the test moves. */
  readonly clock?: Clock;
}

export const templateTtlMs = 60_000;

const keys = new CacheKeys("test");

export function templateKey({ namespace, name, version }: TemplateName): string {
  return keys.template(namespace, name, version);
}

/** The templates of one process; several may share a cache. */
export function templateSystem(db: Database, options: TemplateSystemOptions = {}): TemplateSystem {
  const clock = new ManualClock();
  const metrics = new RecordingMetrics();
  const about = { clock: options.clock ?? clock, logger: silentLogger, metrics };
  const cache =
    options.cache === undefined
      ? undefined
      : FleetCacheOf.create(options.cache, "templates", { ...about, chosen: true });
  const store = new TemplateStore({ ...about, database: db, cache, keys, ttlMs: templateTtlMs });
  const allowGraphChange = options.allowGraphChange ?? false;
  const registry = new TaskHandlerRegistry({ database: db, store, logger: silentLogger, allowGraphChange });
  const wakeUps = new WakeUps(db, clock, silentLogger);
  const submitter = new TaskSubmitter({ database: db, store, registry, wakeUps });
  return { store, registry, wakeUps, clock, metrics, submitter };
}
