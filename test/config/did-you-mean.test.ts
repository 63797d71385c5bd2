import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { didYouMean } from "../../src/config/did-you-mean.ts";

const names = ["http.port", "http.host", "worker.concurrency", "worker.lease_ms", "redis", "memory"];

test("a slip finds the name that was meant", () => {
  assert.equal(didYouMean("htpp.port", names), "http.port");
  assert.equal(didYouMean("worker.concurency", names), "worker.concurrency");
  assert.equal(didYouMean("rdeis", names), "redis");
  assert.equal(didYouMean("REDIS", names), "redis");
});

test("a word that is near to nothing finds nothing", () => {
  assert.equal(didYouMean("zzz", names), undefined);
  assert.equal(didYouMean("", names), undefined);
  assert.equal(didYouMean("redis", []), undefined);
});

test("a word of six letters or more with one letter dropped is always recognised", () => {
  const word = fc.stringMatching(/^[a-z_]{6,20}$/u);
  fc.assert(
    fc.property(word, fc.nat(), (meant, position) => {
      const at = position % meant.length;
      assert.equal(didYouMean(meant.slice(0, at) + meant.slice(at + 1), [meant]), meant);
    }),
  );
});

test("a swap of neighbours counts as one slip", () => {
  assert.equal(didYouMean("ab", ["ba"]), "ba");
  assert.equal(didYouMean("abc", ["cba"]), undefined);
});
