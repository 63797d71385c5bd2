import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { readFlags } from "../../bench/support/flags.ts";

const flags = {
  rounds: { min: 1, max: 10, default: 3 },
  scale: { min: 0, max: 2, fraction: true },
} as const;

describe("the flags of benchmarks", () => {
  test("are numbers, have their defaults, and leave the rest alone", () => {
    assert.deepEqual(readFlags([], flags), { values: { rounds: 3, scale: undefined }, positionals: [] });
    assert.deepEqual(readFlags(["a.json", "--scale", "0.5", "--rounds=10", "b.json"], flags), {
      values: { rounds: 10, scale: 0.5 },
      positionals: ["a.json", "b.json"],
    });
  });

  const wrong: readonly (readonly [args: readonly string[], message: RegExp])[] = [
    [["--rounds", "0"], /--rounds should be a whole number from 1 to 10, got 0/u],
    [["--rounds", "2.5"], /--rounds should be a whole number from 1 to 10, got 2\.5/u],
    [["--rounds="], /--rounds should be a whole number/u],
    [["--scale", "x"], /--scale should be a number from 0 to 2, got x/u],
    [["--round", "1"], /Unknown option '--round'/u],
  ];
  for (const [args, message] of wrong) {
    test(`${args.join(" ")} is refused`, () => {
      assert.throws(() => readFlags(args, flags), message);
    });
  }
});
