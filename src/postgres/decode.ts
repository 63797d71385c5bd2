import { decodeArray } from "./array.ts";
import { DecodingError } from "./decoding-error.ts";
import { decodeTimestamp } from "./timestamp.ts";

type Decode = (text: string) => unknown;

const asText: Decode = (text) => text;
const asFloat: Decode = (text) => Number(text);
const asSmallInteger: Decode = (text) => Number(text);
const asBoolean: Decode = (text) => text === "t";
const asJson: Decode = (text): unknown => JSON.parse(text);
const asBytes: Decode = (text) => Buffer.from(text.slice(2), "hex");

/** int8: exact or an error. */
function asInteger(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value)) return value;
  throw new DecodingError("number_out_of_range", `the integer ${text} is beyond 2^53: select it as text`);
}

/** numeric: beyond 2^53 not even its integer part would be right. NaN and the infinities have their like in JavaScript. */
function asNumeric(text: string): number {
  const value = Number(text);
  if (Math.abs(value) <= Number.MAX_SAFE_INTEGER || !/^-?\d/.test(text)) return value;
  throw new DecodingError("number_out_of_range", `the numeric ${text} is beyond 2^53: select it as text`);
}

/** [type, its array type, decoder], by the OIDs of pg_type.dat, which never change. */
const scalars: readonly (readonly [oid: number, arrayOid: number, decode: Decode])[] = [
  [16, 1000, asBoolean], // bool
  [17, 1001, asBytes], // bytea
  [19, 1003, asText], // name
  [20, 1016, asInteger], // int8
  [21, 1005, asSmallInteger], // int2
  [23, 1007, asSmallInteger], // int4
  [25, 1009, asText], // text
  [26, 1028, asSmallInteger], // oid
  [114, 199, asJson], // json
  [700, 1021, asFloat], // float4
  [701, 1022, asFloat], // float8
  [1042, 1014, asText], // bpchar
  [1043, 1015, asText], // varchar
  [1082, 1182, asText], // date: a calendar day, and a Date would put it into some time zone
  [1114, 1115, asText], // timestamp
  [1184, 1185, decodeTimestamp], // timestamptz
  [1186, 1187, asText], // interval
  [1700, 1231, asNumeric], // numeric
  [2950, 2951, asText], // uuid
  [3802, 3807, asJson], // jsonb
];

const decoders = new Map<number, Decode>(
  scalars.flatMap(([oid, arrayOid, decode]) => [
    [oid, decode],
    [arrayOid, (text: string) => decodeArray(text, decode)],
  ]),
);

/**
 * The decoders in the shape in which `pg` takes them, for a pool, a client or one query. Complete in itself (a type that is
 * not in the table stays text): `pg.types` belongs to the host application, which may have changed it.
 */
export const typeParsers = {
  getTypeParser(oid: number): Decode {
    return decoders.get(oid) ?? asText;
  },
};
