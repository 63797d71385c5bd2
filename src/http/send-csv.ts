import type { FastifyReply, FastifyRequest } from "fastify";
import Negotiator from "negotiator";

import type { Answer } from "../cache/read-through.ts";
import { cacheControl, cacheStatus, matchesTag, wholeSeconds } from "./answer-headers.ts";
import { type AnswerSender, vary } from "./send-answer.ts";

const json = "application/json";
const csv = "text/csv";

/**
 * Sends an answer, when it is there, as CSV to who prefers that (`Accept: text/csv`), made of the cached JSON; to all others
 * as it is.
 */
export function sendAnswerOrCsv(
  sender: AnswerSender,
  request: FastifyRequest,
  reply: FastifyReply,
  answering: Promise<Answer>,
  csvOf: (json: string) => string,
): void {
  if (prefersCsv(request)) void sendCsv(request, reply, answering, csvOf);
  else sender.send(request, reply, answering);
}

function prefersCsv(request: FastifyRequest): boolean {
  const { accept } = request.headers;
  // Nearly all ask for anything, or for JSON: they need no closer look.
  return accept !== undefined && /text\//iu.test(accept) && new Negotiator(request).mediaType([json, csv]) === csv;
}

/** Never rejects: what fails becomes the reply. */
async function sendCsv(
  request: FastifyRequest,
  reply: FastifyReply,
  answering: Promise<Answer>,
  csvOf: (json: string) => string,
): Promise<void> {
  try {
    const answer = await answering;
    // Otherwise its deadline has passed, and it has been told so.
    if (!reply.sent) writeCsv(request, reply, answer, csvOf);
  } catch (error) {
    void reply.send(error);
  }
}

function writeCsv(request: FastifyRequest, reply: FastifyReply, answer: Answer, csvOf: (json: string) => string): void {
  // The same data, other bytes.
  const etag = answer.etag.replace(/"$/u, '-csv"');
  const isKnown = request.headers["if-none-match"] !== undefined && matchesTag(request.headers["if-none-match"], etag);
  reply.headers({
    etag,
    age: String(wholeSeconds(answer.ageMs)),
    "cache-control": cacheControl(answer),
    "cache-status": cacheStatus(answer),
    vary,
  });
  if (isKnown) void reply.code(304).send();
  else void reply.header("content-type", `${csv}; charset=utf-8; header=present`).send(csvOf(answer.body.toString()));
}
