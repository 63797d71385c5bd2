import type { Metrics } from "../runtime/metrics.ts";
import type { Caches } from "./caches.ts";
import type { CacheUseHealth } from "./constraints.ts";

type FigureMetrics = Pick<Metrics, "cacheEntries" | "cacheBytes" | "cacheEvictions" | "cacheRefused" | "cacheServing">;

/** Has the figures of the caches recorded whenever somebody looks at the metrics. */
export function exposeCacheFigures(
  metrics: FigureMetrics & Pick<Metrics, "beforeExposition">,
  caches: Pick<Caches, "health">,
): void {
  const record = cacheFigures(metrics);
  metrics.beforeExposition(async () => record(await caches.health()));
}

/** Records what the caches say of themselves. What they count, they count from their beginning: the metrics get what is new. */
function cacheFigures(metrics: FigureMetrics): (uses: readonly CacheUseHealth[]) => void {
  const told = new Map<string, number>();
  const news = (name: string, count: number): number => {
    const before = told.get(name) ?? 0;
    told.set(name, count);
    return Math.max(0, count - before);
  };
  return (uses) => {
    for (const { provider, context, healthy, figures } of uses) {
      const labels = { provider, context };
      const { entries, bytes, evictions_total: evictions, refused_too_large_total: refused } = figures;
      metrics.cacheServing.set(healthy ? 1 : 0, labels);
      if (entries !== undefined) metrics.cacheEntries.set(entries, labels);
      if (bytes !== undefined) metrics.cacheBytes.set(bytes, labels);
      const name = `${provider}/${context}`;
      if (evictions !== undefined) metrics.cacheEvictions.add(news(`${name}/evictions`, evictions), labels);
      if (refused !== undefined) metrics.cacheRefused.add(news(`${name}/refused`, refused), labels);
    }
  };
}
