import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { DecodedEnvelopes } from "../../src/cache/decoded-envelopes.ts";
import { type Envelope, decodeEnvelope, encodeEnvelope, entityTag } from "../../src/cache/envelope.ts";
import { randomCases } from "../support/random.ts";

function envelopeOf(text: string, about: Partial<Envelope> = {}): Envelope {
  const body = Buffer.from(text);
  return {
    computedAt: "2026-01-01T00:00:00.123456Z",
    computeMs: 12.5,
    keepMs: 60_000,
    etag: entityTag(body),
    body,
    process: "p1",
    begunMs: 1_234.5,
    ...about,
  };
}

const encodedOf = (text: string): string => encodeEnvelope(envelopeOf(text), text);

describe("an envelope", () => {
  test("is what it was after it was encoded and decoded", () => {
    const text = fc.oneof(fc.json(), fc.string({ unit: "binary" }), fc.constant("\n\n{}\n"));
    fc.assert(
      fc.property(
        text,
        fc.string(),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        (body, computedAt, begunMs) => {
          const envelope = envelopeOf(body, { computedAt, begunMs: begunMs + 0 });
          assert.deepEqual(decodeEnvelope(encodeEnvelope(envelope, body)), envelope);
        },
      ),
      randomCases(5_000),
    );
  });

  test("keeps the text of the answer as it is, after one line about it", () => {
    const text = '{"a": [1,\n2]}';
    const [header, ...rest] = encodedOf(text).split("\n");
    assert.equal(rest.join("\n"), text);
    assert.deepEqual(JSON.parse(header ?? ""), {
      v: 2,
      computedAt: "2026-01-01T00:00:00.123456Z",
      computeMs: 12.5,
      keepMs: 60_000,
      etag: entityTag(Buffer.from(text)),
      bytes: text.length,
      process: "p1",
      begunMs: 1_234.5,
    });
  });

  test("of another version is a miss", () => {
    for (const version of ["0", "1", '"1"', "null"]) {
      assert.equal(decodeEnvelope(encodedOf("{}").replace('"v":2', `"v":${version}`)), undefined, version);
    }
  });

  test("that is none is a miss", () => {
    for (const text of ["", "\n", "{}", "{}\n{}", "null\n{}", "[]\n{}", '"text"\n', "1\n", '{"v":2}\n{}']) {
      assert.equal(decodeEnvelope(text), undefined, JSON.stringify(text));
    }
  });

  test("that lacks a field, or has one of another type, is a miss", () => {
    const [header = "", body = ""] = encodedOf("{}").split("\n");
    const fields = JSON.parse(header) as Record<string, unknown>;
    for (const field of Object.keys(fields)) {
      for (const wrong of [undefined, null, typeof fields[field] === "string" ? 1 : "1"]) {
        const damaged = JSON.stringify({ ...fields, [field]: wrong });
        assert.equal(decodeEnvelope(`${damaged}\n${body}`), undefined, damaged);
      }
    }
  });

  test("that was cut short or damaged is a miss or differs only within its line, and never throws", () => {
    const whole = encodedOf('{"name":"zwölf"}');
    for (let length = 0; length < whole.length; length += 1) {
      assert.equal(decodeEnvelope(whole.slice(0, length)), undefined, `${length} characters`);
    }
    fc.assert(
      fc.property(fc.nat({ max: whole.length }), fc.string({ unit: "binary" }), (at, more) => {
        decodeEnvelope(whole.slice(0, at) + more + whole.slice(at));
        decodeEnvelope(more);
      }),
      randomCases(5_000),
    );
  });
});

describe("an entity tag", () => {
  test("is strong, in quotes, and the same for the same bytes only", () => {
    assert.match(entityTag(Buffer.from("{}")), /^"[\w-]{22}"$/u);
    assert.equal(entityTag(Buffer.from("{}")), entityTag(Buffer.from("{}")));
    assert.notEqual(entityTag(Buffer.from("{}")), entityTag(Buffer.from("{ }")));
  });
});

describe("decoded envelopes", () => {
  test("are the same object as long as the cache holds the same text", () => {
    const decoded = new DecodedEnvelopes();
    const first = decoded.decode("k", encodedOf("1"));
    assert.equal(decoded.decode("k", encodedOf("1")), first);
    const second = decoded.decode("k", encodedOf("2"));
    assert.equal(second?.body.toString(), "2");
    assert.equal(decoded.decode("k", encodedOf("1"))?.body.toString(), "1");
  });

  test("are not kept for what is no envelope", () => {
    const decoded = new DecodedEnvelopes();
    decoded.decode("k", encodedOf("1"));
    assert.equal(decoded.decode("k", "damaged"), undefined);
  });

  test("are those that were used last, not those that came last", () => {
    const decoded = new DecodedEnvelopes();
    const [hot, warm] = [decoded.decode("hot", encodedOf("1")), decoded.decode("warm", encodedOf("2"))];
    for (let index = 0; index < 600; index += 1) {
      decoded.decode(`k${index}`, encodedOf("1"));
      assert.equal(decoded.decode("hot", encodedOf("1")), hot);
      if (index % 200 === 0) assert.equal(decoded.decode("warm", encodedOf("2")), warm);
    }
    assert.notEqual(decoded.decode("k0", encodedOf("1")), undefined);
    for (let index = 0; index < 256; index += 1) decoded.decode(`l${index}`, encodedOf("1"));
    assert.notEqual(decoded.decode("hot", encodedOf("1")), hot);
  });

  test("are bounded in number and in size", () => {
    const decoded = new DecodedEnvelopes();
    const first = decoded.decode("first", encodedOf("1"));
    for (let index = 0; index < 256; index += 1) decoded.decode(`k${index}`, encodedOf("1"));
    assert.notEqual(decoded.decode("first", encodedOf("1")), first);

    decoded.decode("k10", encodedOf("2"));
    const renewed = decoded.decode("k10", encodedOf("3"));
    for (let index = 0; index < 255; index += 1) decoded.decode(`l${index}`, encodedOf("1"));
    assert.equal(decoded.decode("k10", encodedOf("3")), renewed);

    // As many of 100,000 bytes as 4 MiB hold; the next one takes the place of the one that was used least recently.
    const big = encodedOf("x".repeat(100_000));
    const [first0, first1] = [decoded.decode("m0", big), decoded.decode("m1", big)];
    for (let index = 2; index < 41; index += 1) decoded.decode(`m${index}`, big);
    assert.ok(decoded.decode("m0", big) === first0);
    decoded.decode("m41", big);
    assert.ok(decoded.decode("m1", big) !== first1);

    const large = encodedOf("x".repeat(200_000));
    assert.notEqual(decoded.decode("large", large), decoded.decode("large", large));
  });
});
