import { Type } from "@fastify/type-provider-typebox";

import { defaultTimeseries, timeseriesHours } from "../../analytics/timeseries-parameters.ts";
import type { HttpServerOptions } from "../options.ts";
import { integer, nameCharactersMax, text } from "../schemas.ts";
import type { AnswerSender } from "../send-answer.ts";
import type { Shell } from "../shell.ts";

const name = text(nameCharactersMax);
const params = Type.Object({ namespace: name, task_name: name, version: name, step_name: name });
const querystring = Type.Object(
  { hours: integer(timeseriesHours.min, timeseriesHours.max, { default: defaultTimeseries.hours }) },
  { additionalProperties: false },
);

/** `GET /v1/analytics/steps/{namespace}/{task_name}/{version}/{step_name}`: one step looked at closely. */
export function addAnalyticsStep(shell: Shell, sender: AnswerSender, { analytics }: HttpServerOptions): void {
  shell.get(
    "/v1/analytics/steps/:namespace/:task_name/:version/:step_name",
    { schema: { params, querystring } },
    (request, reply) => sender.send(request, reply, analytics.step({ ...request.params, ...request.query })),
  );
}
