import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { count, duration, percent, plural } from "../../src/cli/format.ts";
import { table } from "../../src/cli/table.ts";

describe("formats", () => {
  test("a duration is told in the unit that suits it, with three digits at most", () => {
    const cases = [
      [null, "-"],
      [0, "0 ms"],
      [0.000_123_4, "0.123 ms"],
      [0.0123, "12.3 ms"],
      [0.999_4, "999 ms"],
      [0.9996, "1 s"],
      [1.2345, "1.23 s"],
      [99.94, "99.9 s"],
      [99.96, "1 m 40 s"],
      [3599.6, "1 h 0 m"],
      [18_600, "5 h 10 m"],
      [86_400 * 2 + 3 * 3600, "2 d 3 h"],
    ] as const;
    for (const [seconds, text] of cases) assert.equal(duration(seconds), text, String(seconds));
  });

  test("a share is told in percent, and what nothing is behind as a dash", () => {
    const cases = [
      [null, "-"],
      [0, "0 %"],
      [0.0613, "6.13 %"],
      [0.939, "93.9 %"],
      [1, "100 %"],
    ] as const;
    for (const [share, text] of cases) assert.equal(percent(share), text);
  });

  test("large numbers have their thousands apart, and one thing has no plural", () => {
    assert.equal(count(1234567), "1,234,567");
    assert.equal(plural(1, "task"), "1 task");
    assert.equal(plural(1200, "task"), "1,200 tasks");
  });
});

test("a table is as wide as its widest cells, numbers stand at the right, and no line ends in blanks", () => {
  const columns = [{ heading: "step" }, { heading: "ran", align: "right" }, { heading: "note" }] as const;
  const rows = [
    ["ship", "12.3 ms", ""],
    ["charge_card", "1 s", "twice"],
  ];
  assert.deepEqual(table(columns, rows), [
    "step             ran  note",
    "ship         12.3 ms",
    "charge_card      1 s  twice",
  ]);
});
