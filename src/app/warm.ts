import type { AnalyticsService } from "../analytics/analytics-service.ts";
import { WarmStart } from "../analytics/warm-start.ts";
import { systemClock as clock } from "../runtime/clock.ts";
import type { Service } from "../runtime/lifecycle.ts";
import type { Parts } from "./compose.ts";

/** What computes the dashboard's answers ahead; undefined when that is switched off, or there is nowhere to keep them. */
export function composeWarmStart({ config, logger, caches }: Parts, analytics: AnalyticsService): Service | undefined {
  const { warmStart, redis } = config.common.cache;
  if (!warmStart || !caches.analytics.enabled) return undefined;
  return new WarmStart({
    analytics,
    fleet: caches.analyticsFleet,
    // As long as the connection may take to come up.
    fleetWaitMs: redis.connectionTimeoutSeconds * 1000,
    clock,
    logger,
  });
}
