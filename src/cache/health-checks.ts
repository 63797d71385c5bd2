import type { CacheUseHealth } from "./constraints.ts";

/** One line of a report on the health of a process. */
export interface CacheCheck {
  readonly name: string;
  readonly healthy: boolean;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** The caches in a report: for each use and provider, as in `cache analytics (redis)`, its figures and, while it cannot be used, why and since when. */
export function cacheChecks(uses: readonly CacheUseHealth[]): CacheCheck[] {
  return uses.map(({ context, provider, healthy, reason, since, figures }) => ({
    name: `cache ${context} (${provider})`,
    healthy,
    detail: {
      provider,
      ...(reason === undefined ? {} : { reason }),
      ...(since === undefined ? {} : { [`serving_without_${provider}_since`]: since }),
      figures,
    },
  }));
}
