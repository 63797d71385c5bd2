import { createHash } from "node:crypto";

/** Raised with each change of the form or of what a field means. */
const schemaVersion = 2;

const lineFeed = 10;

/** An answer as it is kept. */
export interface Envelope {
  /** The database's time of the data, RFC 3339. For display: ages are not measured by it. */
  readonly computedAt: string;
  readonly computeMs: number;
  /** How long, from the beginning of the computation, the answer may be given out. */
  readonly keepMs: number;
  /** Strong, in quotes, made of the body: equal bodies have equal tags in every process. */
  readonly etag: string;
  /** The bytes to send. Shared by all who are sent it: never write to it. */
  readonly body: Buffer;
  /** Names the process whose monotonic clock `begunMs` was read from. To any other process the reading means nothing. */
  readonly process: string;
  /** When the computation began: the data cannot be older. */
  readonly begunMs: number;
  /** The same by the clock of the store that the fleet shares, which knows the answer by it; undefined when it is not there. */
  readonly bornMs?: number | undefined;
}

/** The strong entity tag of a body (RFC 9110, section 8.8.3): 128 bits of its SHA-256. */
export function entityTag(body: Buffer): string {
  return `"${createHash("sha256").update(body).digest().subarray(0, 16).toString("base64url")}"`;
}

/**
 * One string: a line of JSON about the answer, then the answer's own text, which is stored and read as it is and never
 * parsed or quoted. `text` must be what `envelope.body` holds as bytes.
 */
export function encodeEnvelope(envelope: Envelope, text: string): string {
  const { computedAt, computeMs, keepMs, etag, body, process, begunMs, bornMs } = envelope;
  const header = {
    v: schemaVersion,
    computedAt,
    computeMs,
    keepMs,
    etag,
    bytes: body.length,
    process,
    begunMs,
    bornMs,
  };
  return `${JSON.stringify(header)}\n${text}`;
}

/** Undefined for a text of another version, or one that is damaged, cut short or no envelope at all; never throws. */
export function decodeEnvelope(encoded: string): Envelope | undefined {
  return decodeEnvelopeBytes(Buffer.from(encoded));
}

/** The same of its bytes: the body is a part of them and no copy, and is looked at by nobody. */
export function decodeEnvelopeBytes(encoded: Buffer): Envelope | undefined {
  const headerEnd = encoded.indexOf(lineFeed);
  return headerEnd === -1 ? undefined : parsed(encoded.toString("utf8", 0, headerEnd), encoded.subarray(headerEnd + 1));
}

function parsed(line: string, body: Buffer): Envelope | undefined {
  let header: unknown;
  try {
    header = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof header !== "object" || header === null) return undefined;
  const fields: Partial<Record<string, unknown>> = header;
  const { v, computedAt, computeMs, keepMs, etag, bytes, process, begunMs, bornMs } = fields;
  if (v !== schemaVersion) return undefined;
  if (typeof computedAt !== "string" || typeof etag !== "string" || typeof process !== "string") return undefined;
  if (typeof computeMs !== "number" || typeof keepMs !== "number" || typeof begunMs !== "number") return undefined;
  if (typeof bytes !== "number" || (bornMs !== undefined && typeof bornMs !== "number")) return undefined;
  if (body.length !== bytes) return undefined;
  const about = { computedAt, computeMs, keepMs, etag, body, process, begunMs };
  return bornMs === undefined ? about : { ...about, bornMs };
}
