import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";

/** What may stand in a log line and a header without a second thought. */
const sane = /^[\w.:@+/=-]{1,128}$/u;

/** The caller's `X-Request-Id` if it is sane, else a new one. */
export function requestIdOf({ headers }: IncomingMessage): string {
  const given = headers["x-request-id"];
  return typeof given === "string" && sane.test(given) ? given : randomUUID();
}
