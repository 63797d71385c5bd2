import type { FastifyReply, FastifyRequest } from "fastify";
import Negotiator from "negotiator";

import type { Answer } from "../cache/read-through.ts";
import { answerHeaders, matchesTag } from "./answer-headers.ts";
import { sendAnswer } from "./send-answer.ts";

const json = "application/json";
const csv = "text/csv";

/** Sends an answer as CSV to who prefers that (`Accept: text/csv`), made of the cached JSON; to all others as it is. */
export function sendAnswerOrCsv(
  request: FastifyRequest,
  reply: FastifyReply,
  answer: Answer,
  csvOf: (json: string) => string,
): FastifyReply {
  if (request.headers.accept === undefined || new Negotiator(request).mediaType([json, csv]) !== csv) {
    return sendAnswer(request, reply, answer);
  }
  // The same data, other bytes.
  const etag = answer.etag.replace(/"$/u, '-csv"');
  reply.headers({ ...answerHeaders(answer), etag, "content-type": `${csv}; charset=utf-8; header=present` });
  const ifNoneMatch = request.headers["if-none-match"];
  if (ifNoneMatch !== undefined && matchesTag(ifNoneMatch, etag)) {
    return reply.removeHeader("content-type").code(304).send();
  }
  return reply.send(csvOf(answer.body.toString()));
}
