import assert from "node:assert/strict";
import { after, describe, test } from "node:test";

import fc from "fast-check";
import pg from "pg";

import { DecodingError } from "../../src/postgres/decoding-error.ts";
import { sqlOf } from "../../src/postgres/statement.ts";
import { decodeTimestamp } from "../../src/postgres/timestamp.ts";
import { testDatabase } from "../support/database.ts";
import { randomCases } from "../support/random.ts";

const { db, url } = await testDatabase({ after }, { migrated: false });

/** The value of one SQL expression. */
async function valueOf(expression: string, values: readonly unknown[] = []): Promise<unknown> {
  const [row] = await db.query<{ value: unknown }>({ text: `select ${expression} as value`, values });
  return row?.value;
}

describe("integers", () => {
  test("int8 and numeric are numbers", async () => {
    assert.equal(await valueOf("9007199254740991::int8"), Number.MAX_SAFE_INTEGER);
    assert.equal(await valueOf("-9007199254740991::int8"), Number.MIN_SAFE_INTEGER);
    assert.equal(await valueOf("count(*)"), 1);
    assert.equal(await valueOf("12.340::numeric"), 12.34);
    assert.equal(await valueOf("'NaN'::numeric"), NaN);
    assert.equal(await valueOf("'-Infinity'::numeric"), -Infinity);
  });

  test("beyond 2^53 they are an error, and the connection goes on", async () => {
    for (const expression of [
      "9007199254740992::int8",
      "array[1, -9007199254740992]::int8[]",
      "9007199254740993::numeric",
      "1e300::numeric",
      "9007199254740993.5::numeric",
    ]) {
      await assert.rejects(valueOf(expression), (error) => {
        assert.ok(error instanceof DecodingError);
        assert.equal(error.code, "number_out_of_range");
        return true;
      });
    }
    assert.equal(db.usage().used, 0);
    assert.equal(await valueOf("1"), 1);
  });
});

describe("times", () => {
  test("timestamptz is RFC 3339 in UTC with six digits", async () => {
    assert.equal(await valueOf("timestamptz '2026-11-22 18:04:19.123456+01'"), "2026-11-22T17:04:19.123456Z");
    assert.equal(await valueOf("timestamptz '2026-11-22 17:04:19.12Z'"), "2026-11-22T17:04:19.120000Z");
    assert.equal(await valueOf("timestamptz '2026-11-22 17:04:19Z'"), "2026-11-22T17:04:19.000000Z");
    assert.equal(await valueOf("timestamptz '0001-01-01 00:00Z'"), "0001-01-01T00:00:00.000000Z");
    assert.equal(await valueOf("timestamptz '9999-12-31 23:59:59.999999Z'"), "9999-12-31T23:59:59.999999Z");
  });

  test("the infinities stay", async () => {
    assert.deepEqual(await valueOf("array['infinity', '-infinity', null]::timestamptz[]"), [
      "infinity",
      "-infinity",
      null,
    ]);
  });

  test("what RFC 3339 cannot say is an error", async () => {
    for (const time of ["10000-01-01 00:00Z", "0044-03-15 00:00Z BC"]) {
      await assert.rejects(valueOf(`timestamptz '${time}'`), { name: "DecodingError", code: "timestamp_not_readable" });
    }
  });

  test("a day and a time without zone stay text", async () => {
    assert.equal(await valueOf("date '2026-11-22'"), "2026-11-22");
    assert.equal(await valueOf("timestamp '2026-11-22 17:04:19.5'"), "2026-11-22 17:04:19.5");
    assert.equal(await valueOf("interval '1 day 02:03:04'"), "1 day 02:03:04");
  });

  test("any time comes back as it was sent", async () => {
    const times = fc
      .tuple(fc.date({ min: new Date("0001-01-01Z"), max: new Date("9999-12-31Z"), noInvalidDate: true }), fc.nat(999))
      .map(([date, micros]) => `${date.toISOString().slice(0, -1)}${String(micros).padStart(3, "0")}Z`);
    await fc.assert(
      fc.asyncProperty(times, async (time) => {
        assert.equal(await valueOf("$1::timestamptz", [time]), time);
      }),
      randomCases(500),
    );
  });

  test("the time zone and the parsers of a caller's own client do not matter", async () => {
    const client = new pg.Client({ connectionString: url });
    client.setTypeParser(1184, () => "the application's own");
    await client.connect();
    try {
      for (const zone of ["Asia/Kathmandu", "America/New_York", "-11:30", "UTC"]) {
        await client.query(`set timezone to '${zone}'`);
        const rows = await sqlOf(client).query({
          text: "select $1::timestamptz as late, timestamptz '1800-01-01 00:00:00.5Z' as early, 3::int8 as number",
          values: ["2026-12-31T23:59:59.000001Z"],
        });
        assert.deepEqual(rows, [
          { late: "2026-12-31T23:59:59.000001Z", early: "1800-01-01T00:00:00.500000Z", number: 3 },
        ]);
      }
    } finally {
      await client.end();
    }
  });

  test("a DateStyle other than ISO is an error, not a wrong time", () => {
    assert.throws(() => decodeTimestamp("Sun Nov 22 17:04:19 2026 UTC"), { code: "timestamp_not_readable" });
    assert.throws(() => decodeTimestamp("22.11.2026 17:04:19 UTC"), { code: "timestamp_not_readable" });
  });
});

describe("other types", () => {
  test("json and jsonb are values", async () => {
    assert.deepEqual(await valueOf(`'{"a": [1, null]}'::jsonb`), { a: [1, null] });
    assert.deepEqual(await valueOf(`array['1', '"x, {}"', null]::json[]`), [1, "x, {}", null]);
  });

  test("booleans, bytes, floats and small integers", async () => {
    assert.deepEqual(await valueOf("array[true, false, null]"), [true, false, null]);
    assert.deepEqual(await valueOf("'\\x00ff'::bytea"), Buffer.from([0, 255]));
    assert.deepEqual(await valueOf("array[1.5, 'NaN', '-Infinity']::float8[]"), [1.5, NaN, -Infinity]);
    assert.deepEqual(await valueOf("array[1, -2]::int2[]"), [1, -2]);
    assert.equal(await valueOf("0.1::float4"), 0.1);
  });

  test("a type that nobody has thought of stays text", async () => {
    assert.equal(await valueOf("int4range(1, 5)"), "[1,5)");
  });

  test("arrays of text come back as they were sent", async () => {
    const element = fc.option(
      fc.oneof(
        fc.string({ unit: "binary" }).map((text) => text.replaceAll("\0", "")),
        fc.constantFrom("NULL", "", " ", '"', "\\", "{", "}", ",", "a,b", '\\"'),
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(element, { maxLength: 5 }), async (array) => {
        assert.deepEqual(await valueOf("$1::text[]", [array]), array);
      }),
      randomCases(500),
    );
  });

  test("arrays may be nested, empty or have bounds", async () => {
    assert.deepEqual(await valueOf("array[[1, 2], [3, null]]::int8[]"), [
      [1, 2],
      [3, null],
    ]);
    assert.deepEqual(await valueOf("'{}'::text[]"), []);
    assert.deepEqual(await valueOf("'[0:1]={7,8}'::int4[]"), [7, 8]);
    assert.deepEqual(await valueOf(`'[5:6][1:1]={{"a b"},{c}}'::text[]`), [["a b"], ["c"]]);
  });
});
