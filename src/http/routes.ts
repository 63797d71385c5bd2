import { addAnalyticsBottlenecks } from "./endpoints/analytics-bottlenecks.ts";
import { addAnalyticsBacklog } from "./endpoints/analytics-backlog.ts";
import { addAnalyticsCompare } from "./endpoints/analytics-compare.ts";
import { addAnalyticsStep } from "./endpoints/analytics-step.ts";
import { addAnalyticsTimeseries } from "./endpoints/analytics-timeseries.ts";
import { addAnalyticsPerformance } from "./endpoints/analytics-performance.ts";
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
import { AnswerSender } from "./send-answer.ts";
import type { Shell } from "./shell.ts";
import type { Traffic } from "./traffic.ts";

/** Adds every endpoint there is. */
export function addRoutes(shell: Shell, traffic: Traffic, options: HttpServerOptions): void {
  const routes = new RouteTable(shell);
  const probe = new HealthProbe(options.health, options.clock);
  const sender = new AnswerSender(traffic, options);
  addIndex(shell, routes, options);
  addCreateTask(shell, options);
  addGetTask(shell, options);
  addAnalyticsPerformance(shell, sender, options);
  addAnalyticsBottlenecks(shell, sender, options);
  addAnalyticsTimeseries(shell, sender, options);
  addAnalyticsBacklog(shell, sender, options);
  addAnalyticsStep(shell, sender, options);
  addAnalyticsCompare(shell, sender, options);
  addHealthLive(shell);
  addHealthReady(shell, probe);
  addHealth(shell, probe, options);
  addMetrics(shell, options);
  routes.refuseOtherMethods();
}
