import { Type } from "@fastify/type-provider-typebox";

import { defaultTimeseries, timeseriesBuckets, timeseriesHours } from "../../analytics/timeseries-parameters.ts";
import { timeseriesCsv } from "../csv-tables.ts";
import type { HttpServerOptions } from "../options.ts";
import { choice, integer, nameCharactersMax, text } from "../schemas.ts";
import type { AnswerSender } from "../send-answer.ts";
import { sendAnswerOrCsv } from "../send-csv.ts";
import type { Shell } from "../shell.ts";
import { filter } from "./analytics-parameters.ts";

const querystring = Type.Object(
  {
    hours: integer(timeseriesHours.min, timeseriesHours.max, { default: defaultTimeseries.hours }),
    bucket: choice(timeseriesBuckets, defaultTimeseries.bucket),
    ...filter,
    step_name: Type.Optional(text(nameCharactersMax)),
  },
  { additionalProperties: false },
);

/** `GET /v1/analytics/timeseries`: how the figures went, bucket by bucket. */
export function addAnalyticsTimeseries(shell: Shell, sender: AnswerSender, { analytics }: HttpServerOptions): void {
  shell.get("/v1/analytics/timeseries", { schema: { querystring } }, (request, reply) =>
    sendAnswerOrCsv(sender, request, reply, analytics.timeseries(request.query), timeseriesCsv),
  );
}
