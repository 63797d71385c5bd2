import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";

import { stepNames, templateNameOf } from "../../bench/replay/step-names.ts";
import { defaultRetryPolicy } from "../../src/workflow/retry.ts";
import { checkTemplate } from "../../src/workflow/template.ts";
import { randomCases } from "../support/random.ts";

/** Ids of all kinds: valid names, near misses, and names as another id may become. */
const id = fc.oneof(
  fc.stringMatching(/^[A-Za-z][\w.-]{0,20}$/u),
  fc.string({ unit: "grapheme", maxLength: 20 }),
  fc.constantFrom("a b", "a_b", "a:b", "a/b", "", " ", "1", "_", "-", "ß", "s_", "s1", "a\nb", "a\0b"),
  fc.integer({ min: 120, max: 140 }).map((length) => "x".repeat(length)),
);
const ids = fc.uniqueArray(id, { minLength: 1, maxLength: 40 });

describe("the names of steps", () => {
  test("are valid and unique: a template of them is accepted", () => {
    fc.assert(
      fc.property(ids, (all) => {
        // What an id becomes is an id of its own, too: the worst case for uniqueness.
        const more = [...new Set([...all, ...stepNames(all).values()])];
        const names = more.map((one) => stepNames(more).get(one) ?? "");
        const steps = names.map((name) => ({ name, after: [], retry: defaultRetryPolicy, timeoutMs: null }));
        checkTemplate({ namespace: "replay", name: templateNameOf(more[0] ?? ""), version: "1", steps });
      }),
      randomCases(300),
    );
  });

  test("are stable: the order of the ids does not matter, nor does which others there are", () => {
    fc.assert(
      fc.property(ids, fc.func(fc.integer()), (all, rank) => {
        const names = stepNames(all);
        const shuffled = stepNames(all.toSorted((a, b) => rank(a) - rank(b)));
        for (const one of all) {
          assert.equal(shuffled.get(one), names.get(one));
          assert.equal(stepNames([one]).get(one), names.get(one));
        }
      }),
      randomCases(300),
    );
  });

  test("are the ids where those are valid, and can be recognised where they are not", () => {
    const names = stepNames(["mProject_ID0000004", "NFCORE:FASTQC (1)", "7zip", "", "NFCORE.FASTQC-1"]);
    assert.equal(names.get("mProject_ID0000004"), "mProject_ID0000004");
    assert.equal(names.get("NFCORE.FASTQC-1"), "NFCORE.FASTQC-1");
    assert.match(names.get("NFCORE:FASTQC (1)") ?? "", /^NFCORE_FASTQC_1_-[0-9a-f]{8}$/u);
    assert.match(names.get("7zip") ?? "", /^s7zip-[0-9a-f]{8}$/u);
    assert.match(names.get("") ?? "", /^s-[0-9a-f]{8}$/u);
  });
});
