import type { FastifyReply, FastifyRequest } from "fastify";

import type { Answer } from "../cache/read-through.ts";
import { answerHeaders, matchesTag } from "./answer-headers.ts";

/** Sends an answer's bytes as they are, or 304 when the caller has them. */
export function sendAnswer(request: FastifyRequest, reply: FastifyReply, answer: Answer): FastifyReply {
  reply.headers(answerHeaders(answer));
  const ifNoneMatch = request.headers["if-none-match"];
  if (ifNoneMatch !== undefined && matchesTag(ifNoneMatch, answer.etag)) {
    return reply.removeHeader("content-type").code(304).send();
  }
  return reply.send(answer.body);
}
