import assert from "node:assert/strict";
import { test } from "node:test";

import { entityTag } from "../../src/cache/envelope.ts";
import type { Answer } from "../../src/cache/read-through.ts";
import { codedBytesMin, Representations, type RepresentationsOptions } from "../../src/http/representations.ts";
import { createMetrics } from "../../src/runtime/metrics.ts";
import { recordingLogger } from "./recording-logger.ts";

/** Compresses to the name of the coding and the body's first bytes, and counts. */
function setup(options: Partial<RepresentationsOptions> = {}) {
  const { logger, lines } = recordingLogger();
  const compressed: string[] = [];
  const by = (coding: string) => (body: Buffer) => {
    compressed.push(coding);
    return Promise.resolve(Buffer.concat([Buffer.from(coding), body.subarray(0, 100)]));
  };
  const compressors = { br: by("br"), gzip: by("gzip") };
  const representations = new Representations({ metrics: createMetrics(), logger, compressors, ...options });
  return { representations, compressed, lines };
}

function answerOf(text: string): Answer {
  const body = Buffer.from(text);
  const promise = { ttlMs: 60_000, staleWhileRevalidateMs: 0, staleIfErrorMs: 0, staleIfError: false };
  const origin = { forwarded: undefined, stored: false, provider: "memory" };
  return { body, etag: entityTag(body), ageMs: 0, ...promise, status: "hit", ...origin, computedAt: "" };
}

const large = (letter: string): Answer => answerOf(letter.repeat(codedBytesMin));

test("equal answers are compressed once, whether they are the same object or not", async () => {
  const { representations, compressed } = setup();
  const first = await representations.of(large("a"), "br");
  assert.equal(first.etag, entityTag(first.body));
  assert.equal(first.contentLength, String(first.body.length));
  // Ready at once from now on.
  assert.equal(representations.of(large("a"), "br"), first);
  await representations.of(large("a"), "gzip");
  assert.deepEqual(compressed, ["br", "gzip"]);
});

test("what is shorter than a packet is sent as it is, unless the caller does not take that", async () => {
  const { representations, compressed } = setup();
  const small = answerOf("a".repeat(codedBytesMin - 1));
  assert.equal((await representations.of(small, "br")).body, small.body);
  assert.deepEqual(compressed, []);
  assert.equal((await representations.of(small, "br, identity;q=0")).coding, "br");
});

test("a failing compression fails nobody: the answer is sent as it is, tried once and logged once", async () => {
  let tries = 0;
  const failing = (): Promise<Buffer> => {
    tries += 1;
    return Promise.reject(new Error("out of memory"));
  };
  const { representations, lines } = setup({ compressors: { br: failing, gzip: failing } });
  const answer = large("a");
  const [one, two] = await Promise.all([representations.of(answer, "br"), representations.of(answer, "br")]);
  const later = await representations.of(answer, "br");
  for (const sent of [one, two, later]) {
    assert.deepEqual([sent.coding, sent.etag, sent.body], [undefined, answer.etag, answer.body]);
  }
  assert.equal(tries, 1);
  assert.deepEqual(
    lines.map(({ level, message }) => [level, message]),
    [["warn", "an answer could not be compressed"]],
  );
});

test("coded bodies are bounded in bytes: what was used least recently is compressed again", async () => {
  // Room for two, each with what it takes beside its bytes.
  const { representations, compressed } = setup({ keptBytesMax: 1_300 });
  for (const letter of ["a", "b", "a", "c", "a", "b"]) await representations.of(large(letter), "br");
  assert.equal(compressed.length, 4);
});
