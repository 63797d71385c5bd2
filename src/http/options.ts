import type { AnalyticsService } from "../analytics/analytics-service.ts";
import type { Sql } from "../postgres/sql.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logging.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { TaskSubmitter } from "../templates/submit.ts";

export interface HttpServerOptions {
  /** A name or an address. Any but loopback needs `allowUnauthenticated`. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly bodyLimitBytes: number;
  /** A request that has not arrived, or is not answered, after this is answered with an error. */
  readonly requestTimeoutMs: number;
  /** Names, with or without a port, under which the server may be addressed besides loopback ones and `host`. */
  readonly allowedHosts: readonly string[];
  readonly allowUnauthenticated: boolean;
  /** How long `stop` lets running requests finish. */
  readonly shutdownTimeoutMs: number;
  readonly analytics: Pick<AnalyticsService, keyof AnalyticsService>;
  readonly submitter: Pick<TaskSubmitter, "submit">;
  /** Where tasks are read. */
  readonly database: Sql;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Looks after everything this process depends on. It has its own deadline here, and is asked one call at a time. */
  readonly health: () => Promise<HealthReport>;
  readonly version: string;
}

/** What a process says of itself and of what it depends on. */
export interface HealthReport {
  readonly healthy: boolean;
  readonly checks: readonly HealthCheck[];
}

export interface HealthCheck {
  readonly name: string;
  readonly healthy: boolean;
  /** Sizes, counts and words, without secrets. */
  readonly detail?: object;
}
