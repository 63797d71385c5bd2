import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";

/** What may stand in a log line and a header without a second thought. */
const sane = /^[\w.:@+/=-]{1,128}$/u;

/** Tells the requests of this process from those of all others; a number tells them apart. It costs less than a UUID each. */
const thisProcess = randomBytes(12).toString("base64url");
let requests = 0;

/** The caller's `X-Request-Id` if it is sane, else a new one. */
export function requestIdOf({ headers }: IncomingMessage): string {
  const given = headers["x-request-id"];
  if (typeof given === "string" && sane.test(given)) return given;
  requests += 1;
  return `${thisProcess}-${requests}`;
}
