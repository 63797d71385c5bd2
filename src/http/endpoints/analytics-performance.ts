import { Type } from "@fastify/type-provider-typebox";

import { defaultPerformance } from "../../analytics/parameters.ts";
import { performanceCsv } from "../csv-tables.ts";
import type { HttpServerOptions } from "../options.ts";
import type { AnswerSender } from "../send-answer.ts";
import { sendAnswerOrCsv } from "../send-csv.ts";
import type { Shell } from "../shell.ts";
import { bounded, filter } from "./analytics-parameters.ts";

const querystring = Type.Object(
  { hours: bounded("hours", defaultPerformance.hours), ...filter },
  { additionalProperties: false },
);

/** `GET /v1/analytics/performance`: how much was done, how well and how fast. */
export function addAnalyticsPerformance(shell: Shell, sender: AnswerSender, { analytics }: HttpServerOptions): void {
  shell.get("/v1/analytics/performance", { schema: { querystring } }, (request, reply) =>
    sendAnswerOrCsv(sender, request, reply, analytics.performance(request.query), performanceCsv),
  );
}
