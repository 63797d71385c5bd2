import { didYouMean } from "./did-you-mean.ts";
import type { Config } from "./schema.ts";

export interface CacheBackendChoice {
  readonly backend: "redis" | "memory" | "none";
  /** Whether the configuration names this backend. Only then is it worth a warning that some feature may not use it. */
  readonly chosen: boolean;
  /** For the log, at start. */
  readonly warnings: readonly string[];
}

/** The names a backend goes by; `moka` is the requirement's. */
const backendsByName: ReadonlyMap<string, CacheBackendChoice["backend"]> = new Map([
  ["redis", "redis"],
  ["memory", "memory"],
  ["moka", "memory"],
  ["in-memory", "memory"],
  ["none", "none"],
]);

/**
 * Decides which cache backend serves. Never fails: a cache is not worth refusing to start, so an unknown backend means
 * no caching and a warning.
 */
export function resolveCacheBackend(config: Config): CacheBackendChoice {
  const { enabled, backend: name } = config.common.cache;
  if (!enabled) return choose("none", true);
  if (name.trim() === "") return choose("memory", false);
  const backend = backendsByName.get(name.trim().toLowerCase());
  if (backend === undefined) return choose("none", false, unknownBackend(name));
  return choose(backend, true);
}

function unknownBackend(name: string): string {
  const meant = didYouMean(name, backendsByName.keys());
  const mend = meant === undefined ? 'Set it to "redis" or "memory", or leave it out' : `Did you mean "${meant}"?`;
  return `common.cache.backend ${JSON.stringify(name)} is unknown: nothing is cached. ${mend}`;
}

function choose(backend: CacheBackendChoice["backend"], chosen: boolean, ...warnings: string[]): CacheBackendChoice {
  return Object.freeze({ backend, chosen, warnings: Object.freeze(warnings) });
}
