import { Type } from "@fastify/type-provider-typebox";

import type { HttpServerOptions } from "../options.ts";
import type { AnswerSender } from "../send-answer.ts";
import type { Shell } from "../shell.ts";
import { filter } from "./analytics-parameters.ts";

const querystring = Type.Object({ namespace: filter.namespace }, { additionalProperties: false });

/** `GET /v1/analytics/backlog`: what waits for workers. */
export function addAnalyticsBacklog(shell: Shell, sender: AnswerSender, { analytics }: HttpServerOptions): void {
  shell.get("/v1/analytics/backlog", { schema: { querystring } }, (request, reply) =>
    sender.send(request, reply, analytics.backlog(request.query)),
  );
}
