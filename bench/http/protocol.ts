// What the bare server and the load generator are told, and what they report.

/** To the bare server: what it answers. */
export interface ServeBare {
  readonly path: string;
  readonly contentType: string;
  readonly body: string;
}

/** From the bare server. */
export interface Listening {
  readonly origin: string;
}

/** To the load generator. */
export interface Load {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
}

/** From the load generator. */
export interface Measured {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Requests without an answer, or with another than 200. */
  readonly failures: number;
}

export function isServeBare(value: unknown): value is ServeBare {
  return has(value, { path: "string", contentType: "string", body: "string" });
}

export function isListening(value: unknown): value is Listening {
  return has(value, { origin: "string" });
}

export function isLoad(value: unknown): value is Load {
  return has(value, { url: "string", connections: "number", seconds: "number" });
}

export function isMeasured(value: unknown): value is Measured {
  return has(value, { requestsPerSecond: "number", p50Ms: "number", p99Ms: "number", failures: "number" });
}

function has(value: unknown, fields: Readonly<Record<string, "string" | "number">>): boolean {
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(fields).every(
    ([name, type]) => typeof Object.getOwnPropertyDescriptor(value, name)?.value === type,
  );
}
