import { Type } from "@fastify/type-provider-typebox";

import { bottleneckSorts, defaultBottlenecks } from "../../analytics/parameters.ts";
import { bottlenecksCsv, bottleneckTables } from "../csv-tables.ts";
import type { HttpServerOptions } from "../options.ts";
import { choice } from "../schemas.ts";
import type { AnswerSender } from "../send-answer.ts";
import { sendAnswerOrCsv } from "../send-csv.ts";
import type { Shell } from "../shell.ts";
import { bounded, filter } from "./analytics-parameters.ts";

const querystring = Type.Object(
  {
    limit: bounded("limit", defaultBottlenecks.limit),
    min_executions: bounded("min_executions", defaultBottlenecks.min_executions),
    hours: bounded("hours", defaultBottlenecks.hours),
    sort: choice(bottleneckSorts, defaultBottlenecks.sort),
    ...filter,
    // Which of the lists is sent as CSV; JSON has both.
    table: choice(bottleneckTables, "slow_steps"),
  },
  { additionalProperties: false },
);

/** `GET /v1/analytics/bottlenecks`: which steps and tasks are slow or fail, and what to do about it. */
export function addAnalyticsBottlenecks(shell: Shell, sender: AnswerSender, { analytics }: HttpServerOptions): void {
  shell.get("/v1/analytics/bottlenecks", { schema: { querystring } }, (request, reply) =>
    sendAnswerOrCsv(sender, request, reply, analytics.bottlenecks(request.query), (json) =>
      bottlenecksCsv(json, request.query.table),
    ),
  );
}
