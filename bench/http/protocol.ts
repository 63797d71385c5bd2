// What servers and load generators are told, and what they report.

/** From the nearest to the network to the whole product; each adds to the one before it. */
export const serverKinds = ["node", "fastify", "admission", "stub", "tasker"] as const;

/**
 * `node`: node:http alone. `fastify`: a bare route. `admission`: a plain route behind what every request of the product
 * passes (Host and Origin, deadline, request id, counter), with the headers of the product's answer. `stub`: the product's
 * HTTP side over analytics that hand out one answer. `tasker`: the product.
 */
export type ServerKind = (typeof serverKinds)[number];

/** To a server: what it is and what it answers. The product answers from the database, and takes only its URL. */
export interface Serve {
  readonly kind: ServerKind;
  readonly databaseUrl: string;
  readonly path: string;
  /** As JSON: names and values. */
  readonly headers: string;
  readonly body: string;
}

/** From a server. */
export interface Listening {
  readonly origin: string;
}

/** From a server when it is asked: the CPU time that it has taken since its start. */
export interface Used {
  readonly cpuMs: number;
}

/** To the load generator. */
export interface Load {
  readonly url: string;
  readonly connections: number;
  readonly requests: number;
  /** Sent as `Accept-Encoding`. */
  readonly acceptEncoding: string;
}

/** From the load generator. */
export interface Measured {
  readonly answered: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Requests without an answer, or with another than 200. */
  readonly failures: number;
}

export function isServe(value: unknown): value is Serve {
  return (
    has(value, { kind: "string", databaseUrl: "string", path: "string", headers: "string", body: "string" }) &&
    serverKinds.some((kind) => kind === Object.getOwnPropertyDescriptor(value, "kind")?.value)
  );
}

export function isListening(value: unknown): value is Listening {
  return has(value, { origin: "string" });
}

export function isUsed(value: unknown): value is Used {
  return has(value, { cpuMs: "number" });
}

export function isLoad(value: unknown): value is Load {
  return has(value, { url: "string", connections: "number", requests: "number", acceptEncoding: "string" });
}

export function isMeasured(value: unknown): value is Measured {
  return has(value, { answered: "number", p50Ms: "number", p99Ms: "number", failures: "number" });
}

function has(value: unknown, fields: Readonly<Record<string, "string" | "number">>): value is object {
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(fields).every(
    ([name, type]) => typeof Object.getOwnPropertyDescriptor(value, name)?.value === type,
  );
}
