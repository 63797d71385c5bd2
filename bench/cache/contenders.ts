import { createCache as createDedupedCache } from "async-cache-dedupe";
import { BentoCache, bentostore } from "bentocache";
import { memoryDriver } from "bentocache/drivers/memory";
import { createCache } from "cache-manager";
import { Cacheable } from "cacheable";
import { LRUCache } from "lru-cache";

import { openTasker } from "./tasker.ts";

/** Computes the answer of a key, as JSON text. */
export type Loader = (key: number) => Promise<string>;

/** Asks for the answer of a key: from the cache, else computed and kept. What it brings can be sent as it is. */
export type Ask = (key: number) => unknown;

export interface Contender {
  readonly name: string;
  /** What a hit brings, and what it takes to make that. */
  readonly brings: string;
  /** Its time to live is a minute; stampede protection is on wherever there is such a thing. */
  open(load: Loader): Ask;
}

export const keysMax = 100;
const ttlSeconds = 60;
const ttlMs = ttlSeconds * 1000;

const parsed =
  (load: Loader) =>
  async (key: number): Promise<object> =>
    JSON.parse(await load(key)) as object;

export const tasker: Contender = {
  name: "tasker",
  brings: "Buffer, tag, age",
  open: (load) => openTasker(load, { frozen: true }).ask,
};

export const asyncCacheDedupe: Contender = {
  name: "async-cache-dedupe",
  brings: "string",
  open(load) {
    const cache = createDedupedCache({ storage: { type: "memory" }, ttl: ttlSeconds, stale: 30 }).define(
      "answer",
      {},
      (key: string) => load(Number(key)),
    );
    return (key) => cache.answer(String(key));
  },
};

export const bentocache: Contender = {
  name: "bentocache",
  brings: "string, serialised within (the default)",
  open: (load) => openBentocache(load, true),
};

export const cacheable: Contender = {
  name: "cacheable",
  brings: "string",
  open(load) {
    const cache = new Cacheable({ ttl: ttlMs });
    // Without a listener the failure of a loader would end the process.
    cache.on("error", () => undefined);
    return (key) => cache.getOrSet(String(key), () => load(key), { ttl: ttlMs });
  },
};

export const cacheManager: Contender = {
  name: "cache-manager",
  brings: "string",
  open(load) {
    const cache = createCache();
    return (key) => cache.wrap(String(key), () => load(key), ttlMs);
  },
};

/** One of each library, with its default settings and a text as value. */
export const libraries: readonly Contender[] = [tasker, asyncCacheDedupe, bentocache, cacheable, cacheManager];

/** What hits are measured of. The first is ours, the second the floor: the bare map, which computes nothing and counts nothing. */
export const hitContenders: readonly Contender[] = [
  tasker,
  {
    name: "lru-cache",
    brings: "string; get alone",
    open(load) {
      const cache = new LRUCache<number, string>({ max: 10_000, ttl: ttlMs });
      return (key) => cache.get(key) ?? load(key).then((text) => void cache.set(key, text));
    },
  },
  {
    name: "tasker, new parameters each time",
    brings: "Buffer, tag, age",
    open: (load) => openTasker(load, { frozen: false }).ask,
  },
  asyncCacheDedupe,
  {
    name: "async-cache-dedupe, object",
    brings: "object, then JSON.stringify",
    open(load) {
      const cache = createDedupedCache({ storage: { type: "memory" }, ttl: ttlSeconds, stale: 30 }).define(
        "answer",
        {},
        (key: string) => parsed(load)(Number(key)),
      );
      return async (key) => JSON.stringify(await cache.answer(String(key)));
    },
  },
  bentocache,
  {
    name: "bentocache, unserialised",
    brings: "string",
    open: (load) => openBentocache(load, false),
  },
  {
    name: "bentocache, object",
    brings: "object parsed within, then JSON.stringify",
    open(load) {
      const cache = new BentoCache({
        default: "memory",
        stores: { memory: bentostore().useL1Layer(memoryDriver({ maxItems: 10_000 })) },
        ttl: ttlMs,
      });
      return async (key) =>
        JSON.stringify(await cache.getOrSet({ key: String(key), ttl: ttlMs, factory: () => parsed(load)(key) }));
    },
  },
  cacheable,
  {
    name: "cacheable, object",
    brings: "object cloned within, then JSON.stringify",
    open(load) {
      const cache = new Cacheable({ ttl: ttlMs });
      cache.on("error", () => undefined);
      return async (key) => JSON.stringify(await cache.getOrSet(String(key), () => parsed(load)(key), { ttl: ttlMs }));
    },
  },
  cacheManager,
  {
    name: "cache-manager, object",
    brings: "object, then JSON.stringify",
    open(load) {
      const cache = createCache();
      return async (key) => JSON.stringify(await cache.wrap(String(key), () => parsed(load)(key), ttlMs));
    },
  },
];

function openBentocache(load: Loader, serialize: boolean): Ask {
  const cache = new BentoCache({
    default: "memory",
    stores: {
      memory: bentostore().useL1Layer(memoryDriver({ maxItems: 10_000, serialize })),
    },
    ttl: ttlMs,
  });
  return (key) => cache.getOrSet({ key: String(key), ttl: ttlMs, factory: () => load(key) });
}
