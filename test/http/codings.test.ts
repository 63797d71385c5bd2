import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { entityTag } from "../../src/cache/envelope.ts";
import { AcceptedCodings } from "../../src/http/codings.ts";
import { codedBytesMin } from "../../src/http/representations.ts";
import { deferred } from "../support/deferred.ts";
import { ask, decoded } from "./ask.ts";
import { httpSystem } from "./setup.ts";

const url = "/v1/analytics/performance";

/** `Accept-Encoding`, and what a large and a small body are sent in. */
const accepted = [
  ["br", "br", undefined],
  ["gzip", "gzip", undefined],
  ["gzip, deflate, br, zstd", "br", undefined],
  ["GZIP", "gzip", undefined],
  ["br;q=0.5, gzip;q=0.8", "gzip", undefined],
  ["br;q=0, gzip", "gzip", undefined],
  ["*", "br", undefined],
  ["br;q=0, *", "gzip", undefined],
  ["gzip;q=0.5, *;q=0.1", "gzip", undefined],
  ["identity;q=0.5, gzip;q=0.1", undefined, undefined],
  ["identity, br;q=0.9", undefined, undefined],
  ["br, identity;q=0", "br", "br"],
  ["gzip, *;q=0", "gzip", "gzip"],
  ["", undefined, undefined],
  ["identity", undefined, undefined],
  ["deflate, zstd, made-up", undefined, undefined],
  ["gzip;q=0, br;q=0.0", undefined, undefined],
  // Nothing that is there is taken: the RFC lets a server send what it has.
  ["identity;q=0", undefined, undefined],
  ["*;q=0", undefined, undefined],
  ["br;q=nonsense", undefined, undefined],
  [";;,,=", undefined, undefined],
] as const;

describe("Accept-Encoding", () => {
  test("chooses what the caller likes best, and of two that it likes as well brotli", () => {
    const codings = new AcceptedCodings();
    for (const [field, large, small] of accepted) {
      // Read, and then remembered.
      for (let time = 0; time < 2; time++) assert.deepEqual(codings.of(field), { large, small }, field);
    }
  });

  test("is remembered of the last kinds of callers, however many others come between", () => {
    const codings = new AcceptedCodings();
    const usual = codings.of("gzip, br");
    for (let stranger = 0; stranger < 500; stranger++) {
      codings.of(`made-up-${stranger}`);
      assert.equal(codings.of("gzip, br"), usual, "who comes again and again is remembered");
    }
    assert.equal(codings.of("made-up-499"), codings.of("made-up-499"), "and so is who came last");
    const first = codings.of("made-up-0");
    for (let stranger = 1; stranger < 500; stranger++) codings.of(`made-up-${stranger}`);
    assert.notEqual(codings.of("made-up-0"), first, "who has long not come is forgotten");
    const long = "x".repeat(201);
    assert.notEqual(codings.of(long), codings.of(long), "long fields are not remembered");
    assert.deepEqual(codings.of("gzip"), { large: "gzip", small: undefined });
  });
});

describe("an answer in a coding", () => {
  test("has the bytes of the answer as it is, and a tag of its own", async (t) => {
    const { server } = await httpSystem(t);
    await server.start();
    const plain = await ask(server, url);
    assert.ok(plain.body.length >= codedBytesMin, `${plain.body.length} bytes are not worth coding`);
    for (const [field, coding] of accepted) {
      const answer = await ask(server, url, { headers: { "accept-encoding": field } });
      assert.equal(answer.status, 200);
      assert.equal(answer.headers["content-encoding"], coding, field);
      assert.equal(answer.headers["content-type"], "application/json; charset=utf-8");
      assert.equal(answer.headers["content-length"], String(answer.body.length));
      assert.match(String(answer.headers["vary"]), /\bAccept-Encoding\b/u);
      assert.equal(answer.headers["etag"], entityTag(answer.body));
      assert.deepEqual(decoded(answer), plain.body);
      if (coding !== undefined) assert.ok(answer.body.length < plain.body.length / 2);
    }
    const tags = await Promise.all(
      ["identity", "br", "gzip"].map(
        async (field) => (await ask(server, url, { headers: { "accept-encoding": field } })).headers["etag"],
      ),
    );
    assert.equal(new Set(tags).size, 3);
    const fetched = await fetch(`${server.address}${url}`);
    assert.equal(fetched.headers.get("content-encoding"), "gzip");
    assert.deepEqual(await fetched.json(), JSON.parse(plain.body.toString()));
  });

  test("is 304 for the tag of that coding, and for no other's", async (t) => {
    const { server } = await httpSystem(t);
    await server.start();
    const fields = ["identity", "gzip", "br"];
    const tagOf = async (field: string): Promise<string> =>
      String((await ask(server, url, { headers: { "accept-encoding": field } })).headers["etag"]);
    const tags = await Promise.all(fields.map(tagOf));
    for (const [asked, field] of fields.entries()) {
      for (const [given, tag] of tags.entries()) {
        for (const method of ["GET", "HEAD"]) {
          const headers = { "accept-encoding": field, "if-none-match": `"other", ${tag}` };
          const answer = await ask(server, url, { method, headers });
          assert.equal(answer.status, asked === given ? 304 : 200, `${method} ${field} ${tag}`);
          assert.equal(answer.headers["etag"], tags[asked]);
          assert.ok(answer.headers["date"] !== undefined);
          if (answer.status !== 304) continue;
          assert.equal(answer.body.length, 0);
          for (const name of ["age", "cache-control", "vary", "cache-status", "x-request-id"]) {
            assert.ok(answer.headers[name] !== undefined, name);
          }
          for (const name of ["content-type", "content-length", "content-encoding", "transfer-encoding"]) {
            assert.equal(answer.headers[name], undefined, name);
          }
        }
      }
    }
  });

  test("is compressed once, however many ask for it first", async (t) => {
    const { server, faults } = await httpSystem(t);
    await server.start();
    const gate = deferred();
    faults.hold = () => gate.promise;
    const asking = Array.from({ length: 200 }, (_, caller) =>
      ask(server, url, { headers: { "accept-encoding": caller % 2 === 0 ? "br" : "gzip" } }),
    );
    gate.resolve();
    const answers = await Promise.all(asking);
    assert.equal(new Set(answers.map((answer) => decoded(answer).toString())).size, 1);
    assert.equal(new Set(answers.map(({ headers }) => headers["etag"])).size, 2);
    const { body } = await ask(server, "/metrics");
    const counted = body.toString().match(/^tasker_http_compressions_total\{.*$/gmu);
    assert.deepEqual(counted?.toSorted(), [
      'tasker_http_compressions_total{coding="br",result="ok"} 1',
      'tasker_http_compressions_total{coding="gzip",result="ok"} 1',
    ]);
  });
});
