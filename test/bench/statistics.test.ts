import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { median, nearestRank, sum } from "../../bench/support/statistics.ts";
import { table } from "../../bench/support/table.ts";

describe("the figures of benchmarks", () => {
  test("the nearest rank is the value that as many percent do not exceed", () => {
    const values = Array.from({ length: 100 }, (_, index) => index + 1);
    for (const percent of [1, 50, 95, 99, 100]) assert.equal(nearestRank(values, percent), percent);
    assert.equal(nearestRank(values.slice(0, 20), 95), 19);
    assert.equal(nearestRank(values.slice(0, 3), 50), 2);
    assert.equal(nearestRank([7], 50), 7);
    assert.equal(nearestRank([7], 99), 7);
    assert.throws(() => nearestRank([], 50), RangeError);
  });

  test("the median of an even number of values lies between the middle ones", () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 3, 2]), 2.5);
    assert.equal(median([5]), 5);
    assert.equal(sum([1, 2, 3]), 6);
  });

  test("a table has its figures to the right", () => {
    const text = table(
      ["name", "n"],
      [
        ["a", "1"],
        ["longer", "1234"],
      ],
    );
    assert.deepEqual(text.split("\n"), ["name       n", "------  ----", "a          1", "longer  1234"]);
  });
});
