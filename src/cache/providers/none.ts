import type { CacheProvider } from "../contract.ts";

/** Caching that is switched off: always misses, keeps nothing. */
export const noneCacheProvider: CacheProvider<"none"> = Object.freeze({
  name: "none",
  reach: "none",
  get: () => Promise.resolve(undefined),
  set: () => Promise.resolve(),
  delete: () => Promise.resolve(),
  deletePattern: () => Promise.resolve(0),
  healthCheck: () => Promise.resolve({ healthy: true, figures: {} }),
  close: () => Promise.resolve(),
});
