import type { FastifyReply, FastifyRequest } from "fastify";

import type { Answer } from "../cache/read-through.ts";
import { cacheControl, cacheStatus, matchesTag, wholeSeconds } from "./answer-headers.ts";
import { securityHeaders } from "./headers.ts";
import { type Representation, Representations, type RepresentationsOptions } from "./representations.ts";
import type { Traffic } from "./traffic.ts";

/** Once there are keys, an answer is its asker's; types and codings differ in their bytes. */
export const vary = "Accept, Accept-Encoding, Authorization, X-API-Key";
const contentType = "application/json; charset=utf-8";

/** On every answer: names and values in turn. */
const constantHeaders: readonly string[] = ["vary", vary, ...Object.entries(securityHeaders).flat()];

/**
 * Sends answers of the cache. They are many, and each is cheap to make: they go to Node as they are, past what Fastify does
 * for replies of any kind.
 */
export class AnswerSender {
  readonly #traffic: Traffic;
  readonly #representations: Representations;

  constructor(traffic: Traffic, options: RepresentationsOptions) {
    this.#traffic = traffic;
    this.#representations = new Representations(options);
  }

  /** Sends the answer when it is there, in the coding that the caller likes best, or 304 when the caller has it. */
  send(request: FastifyRequest, reply: FastifyReply, answering: Promise<Answer>): void {
    answering
      .then((answer) => {
        const representation = this.#representations.of(answer, request.headers["accept-encoding"]);
        if (!(representation instanceof Promise)) return this.#write(request, reply, answer, representation);
        return representation.then((coded) => this.#write(request, reply, answer, coded));
      })
      .catch((error: unknown) => void reply.send(error));
  }

  #write(request: FastifyRequest, reply: FastifyReply, answer: Answer, representation: Representation): void {
    // Its deadline has passed, and it has been told so.
    if (reply.sent) return;
    const { body, etag, contentLength, coding } = representation;
    const ifNoneMatch = request.headers["if-none-match"];
    const isKnown = ifNoneMatch !== undefined && matchesTag(ifNoneMatch, etag);
    const headers = [
      ...constantHeaders,
      "x-request-id",
      request.id,
      "etag",
      etag,
      "age",
      String(wholeSeconds(answer.ageMs)),
      "cache-control",
      cacheControl(answer),
      "cache-status",
      cacheStatus(answer),
    ];
    if (!isKnown) {
      headers.push("content-type", contentType, "content-length", contentLength);
      if (coding !== undefined) headers.push("content-encoding", coding);
    }
    if (this.#traffic.closing) headers.push("connection", "close");
    const status = isKnown ? 304 : 200;
    // If a header cannot be written, the reply is still Fastify's, and becomes an error.
    reply.raw.writeHead(status, headers);
    reply.hijack();
    this.#traffic.answered(request, reply, status);
    reply.raw.end(isKnown || request.method === "HEAD" ? undefined : body);
  }
}
