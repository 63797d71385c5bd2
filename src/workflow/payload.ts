import { InvalidPayloadError } from "./errors.ts";

/** What a value is after it was stored as JSON and read back: dates are strings, undefined properties are gone. */
export type Stored<T> = unknown extends T
  ? unknown
  : T extends { toJSON(): infer J }
    ? Stored<J>
    : T extends string | number | boolean | null
      ? T
      : T extends undefined | void
        ? null
        : T extends bigint | LeftOut
          ? never
          : T extends readonly unknown[]
            ? { -readonly [K in keyof T]: Stored<T[K]> }
            : T extends object
              ? StoredObject<T>
              : never;

/** What JSON leaves out of objects. (A bigint it refuses.) */
type LeftOut = symbol | ((...args: never[]) => unknown);

/** Properties that may be undefined may be missing afterwards; in the objects of JSON nothing else is undefined. */
type StoredObject<T> = Flat<
  { [K in keyof T as MayBeMissing<T[K]> extends true ? never : KeptKey<T, K>]: Stored<T[K]> } & {
    [K in keyof T as MayBeMissing<T[K]> extends true ? KeptKey<T, K> : never]?: Stored<Exclude<T[K], undefined>>;
  }
>;

type MayBeMissing<V> = unknown extends V ? false : undefined extends V ? true : false;
type KeptKey<T, K extends keyof T> = K extends symbol ? never : [T[K]] extends [LeftOut | undefined] ? never : K;
type Flat<T> = { [K in keyof T]: T[K] };

/** The largest input, output or error, as bytes of JSON. */
export const payloadBytesMax = 1024 * 1024;

/** The largest progress of a heartbeat: it is written again and again. */
export const progressBytesMax = 64 * 1024;

/** Postgres' jsonb can hold neither NUL nor half of a surrogate pair. JSON.stringify escapes these, but no whole pair. */
const unstorable = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f][0-9a-f]{2})/iu;

/**
 * The JSON text of a payload, `null` for undefined. `what` names it in errors ("the input of shop/fulfil_order").
 *
 * @throws InvalidPayloadError when it is not JSON (a cycle, a bigint), over 1 MiB, or holds text that Postgres cannot store
 */
export function encodePayload(value: unknown, what: string, bytesMax = payloadBytesMax): string {
  let json: string | undefined;
  try {
    json = JSON.stringify(value === undefined ? null : value);
  } catch (cause) {
    throw new InvalidPayloadError(`${what} is not JSON: ${messageOf(cause)}`, { cause });
  }
  // A function or a symbol: JSON has no word for it.
  if (json === undefined) throw new InvalidPayloadError(`${what} is not JSON: it is a ${typeof value}`);
  const bytes = Buffer.byteLength(json);
  if (bytes > bytesMax) {
    throw new InvalidPayloadError(`${what} has ${bytes} bytes of JSON; at most ${bytesMax} are allowed`);
  }
  if (json.includes("\\u") && unstorable.test(json)) {
    throw new InvalidPayloadError(
      `${what} holds a NUL character or half of a surrogate pair, which Postgres cannot store`,
    );
  }
  return json;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
