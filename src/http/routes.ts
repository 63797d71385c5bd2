import { addAnalyticsBacklog } from "./endpoints/analytics-backlog.ts";
import { addAnalyticsBottlenecks } from "./endpoints/analytics-bottlenecks.ts";
import { addAnalyticsCompare } from "./endpoints/analytics-compare.ts";
import { addAnalyticsPerformance } from "./endpoints/analytics-performance.ts";
import { addAnalyticsStep } from "./endpoints/analytics-step.ts";
import { addAnalyticsTimeseries } from "./endpoints/analytics-timeseries.ts";
import { addCreateTask } from "./endpoints/create-task.ts";
import { addGetTask } from "./endpoints/get-task.ts";
import { addHealth } from "./endpoints/health.ts";
import { addHealthLive } from "./endpoints/health-live.ts";
import { addHealthReady } from "./endpoints/health-ready.ts";
import { addIndex } from "./endpoints/index.ts";
import { addMetrics } from "./endpoints/metrics.ts";
import { HealthProbe } from "./health-probe.ts";
import type { HttpServerOptions } from "./options.ts";
import { RouteTable } from "./route-table.ts";
import type { Shell } from "./shell.ts";

/** Adds every endpoint there is. */
export function addRoutes(shell: Shell, options: HttpServerOptions): void {
  const routes = new RouteTable(shell);
  const probe = new HealthProbe(options.health, options.clock);
  addIndex(shell, routes, options);
  addCreateTask(shell, options);
  addGetTask(shell, options);
  addAnalyticsPerformance(shell, options);
  addAnalyticsBottlenecks(shell, options);
  addAnalyticsTimeseries(shell, options);
  addAnalyticsBacklog(shell, options);
  addAnalyticsStep(shell, options);
  addAnalyticsCompare(shell, options);
  addHealthLive(shell);
  addHealthReady(shell, probe);
  addHealth(shell, probe, options);
  addMetrics(shell, options);
  routes.refuseOtherMethods();
}
