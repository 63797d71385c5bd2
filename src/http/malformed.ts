import type { Socket } from "node:net";

import { type Problem, problemResponse } from "./problem.ts";

const malformed: Problem = { code: "malformed_request", detail: "This is not HTTP/1.1 as RFC 9112 has it" };

/** By the code of Node's error. */
const problems: ReadonlyMap<string, Problem> = new Map([
  ["HPE_HEADER_OVERFLOW", { code: "headers_too_large", detail: "Send fewer or shorter headers" }],
  ["ERR_HTTP_REQUEST_TIMEOUT", { code: "request_timeout", detail: "Send the whole request faster" }],
]);

/** Answers what could not be read as a request, and closes the connection. */
export function answerMalformed(error: Error & { readonly code?: string }, socket: Socket): void {
  // A client that is gone, or an answer that has begun: there is nobody to tell.
  if (error.code === "ECONNRESET" || !socket.writable || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  socket.end(problemResponse(problems.get(error.code ?? "") ?? malformed), () => socket.destroy());
}
