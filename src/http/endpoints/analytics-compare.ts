import { Type } from "@fastify/type-provider-typebox";

import { defaultPerformance } from "../../analytics/parameters.ts";
import type { HttpServerOptions } from "../options.ts";
import { nameCharactersMax, text } from "../schemas.ts";
import type { AnswerSender } from "../send-answer.ts";
import type { Shell } from "../shell.ts";
import { bounded } from "./analytics-parameters.ts";

const name = text(nameCharactersMax);
const querystring = Type.Object(
  { namespace: name, task_name: name, a: name, b: name, hours: bounded("hours", defaultPerformance.hours) },
  { additionalProperties: false },
);

/** `GET /v1/analytics/compare`: whether one version of a template is slower, or fails more, than another. */
export function addAnalyticsCompare(shell: Shell, sender: AnswerSender, { analytics }: HttpServerOptions): void {
  shell.get("/v1/analytics/compare", { schema: { querystring } }, (request, reply) =>
    sender.send(request, reply, analytics.compare(request.query)),
  );
}
