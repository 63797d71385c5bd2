import type { AnalyticsQueryService } from "../../src/analytics/analytics-query-service.ts";
import { AnalyticsReplica } from "../../src/analytics/replica.ts";
import { breakerDatabase } from "../../src/postgres/breaker.ts";
import { openDatabase } from "../../src/postgres/pool.ts";
import type { Database, Sql, Statement } from "../../src/postgres/sql.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { type LogLine, recordingLogger } from "../http/recording-logger.ts";
import { ManualClock } from "../support/clock.ts";
import type { Scope } from "../support/database.ts";
import { analyticsOf } from "./support.ts";

export interface ReplicaReaderOptions {
  readonly primary: Database;
  readonly replicaUrl: string;
  readonly maxLagSeconds: number;
  readonly statementTimeoutMs?: number;
  /** Called after each statement that the replica has answered. */
  readonly meanwhile?: () => Promise<void>;
}

/** What a replica has reported. */
export interface Seen {
  answers: number;
  /** The reasons, in their order. */
  readonly fallbacks: string[];
  lagSeconds: number | undefined;
  readonly lines: readonly LogLine[];
}

export interface ReplicaReader {
  readonly service: AnalyticsQueryService;
  readonly replica: AnalyticsReplica;
  readonly pool: Database;
  readonly seen: Seen;
  readonly clock: ManualClock;
}

/** The analytics of a process with a replica, composed as the app does; the pool is closed after the scope. */
export function replicaReader(scope: Scope, options: ReplicaReaderOptions): ReplicaReader {
  const { primary, replicaUrl, maxLagSeconds, statementTimeoutMs, meanwhile = () => Promise.resolve() } = options;
  const pool = openDatabase({
    connectionString: replicaUrl,
    max: 2,
    applicationName: "tasker tests replica",
    idleInTransactionTimeoutMs: 60_000,
    connectTimeoutMs: 10_000,
    ...(statementTimeoutMs === undefined ? {} : { statementTimeoutMs }),
    cutsAtClose: true,
    onError: () => {},
  });
  scope.after(() => pool.close());
  const { logger, lines } = recordingLogger();
  const clock = new ManualClock();
  const seen: Seen = { answers: 0, fallbacks: [], lagSeconds: undefined, lines };
  const replica = new AnalyticsReplica({
    database: breakerDatabase(busy(pool, meanwhile), { name: "analytics replica", clock, logger: silentLogger }),
    maxLagSeconds,
    clock,
    logger,
    metrics: {
      analyticsReplicaAnswers: { add: (count) => void (seen.answers += count) },
      analyticsReplicaFallbacks: { add: (_, { reason }) => void seen.fallbacks.push(reason) },
      analyticsReplicaLagSeconds: { set: (seconds) => void (seen.lagSeconds = seconds) },
    },
  });
  return { service: analyticsOf(primary, { replica }), replica, pool, seen, clock };
}

/** The database, in which something happens after each statement. */
function busy(db: Database, meanwhile: () => Promise<void>): Database {
  const around = (sql: Sql): Sql => ({
    async query<Row extends object>(statement: Statement): Promise<Row[]> {
      const rows = await sql.query<Row>(statement);
      await meanwhile();
      return rows;
    },
  });
  return {
    ...around(db),
    transaction: (work, options) => db.transaction((sql) => work(around(sql)), options),
    usage: () => db.usage(),
    close: () => db.close(),
  };
}
