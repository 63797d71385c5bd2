/** A process that asks both analytics endpoints' questions one after the other, uncached, until it is stopped. */
import { AnalyticsQueryService } from "../../src/analytics/analytics-query-service.ts";
import { defaultBottlenecks, defaultPerformance } from "../../src/analytics/parameters.ts";
import { answerWith, report, told } from "../support/child.ts";
import { open } from "./side.ts";

const { url } = await told((message: unknown): message is { url: string } => {
  return typeof message === "object" && message !== null && "url" in message && typeof message.url === "string";
});
// As many connections as the product's analytics have.
const database = open(url, "tasker bench analytics", 2);
const service = new AnalyticsQueryService({
  database,
  enginePool: () => database.usage(),
  thresholds: { errorRate: 0.1, poolUtilization: 0.8, slowStepSeconds: 60 },
});
let answers = 0;
await service.performance(defaultPerformance);
answerWith(() => ({ answers }));
report({ asking: true });
for (;;) {
  await service.performance(defaultPerformance);
  await service.bottlenecks(defaultBottlenecks);
  answers += 2;
}
