import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";

import {
  bottleneckSorts,
  defaultBottlenecks,
  defaultPerformance,
  parameterRanges,
} from "../../src/analytics/parameters.ts";
import { problemKinds } from "../../src/http/problem-codes.ts";
import { httpSystem } from "./setup.ts";

const page = readFileSync(new URL("../../docs/http-api.md", import.meta.url), "utf8");

/** The cells of every line of a table whose first cell is code. */
const rows = page
  .split("\n")
  .filter((line) => line.startsWith("| `"))
  .map((line) =>
    line
      .slice(1, -1)
      .split(" | ")
      .map((cell) => cell.replaceAll("|", "").trim()),
  );

test("the documented errors are those of the code, in the same order", () => {
  const documented = rows.flatMap(([code = "", status = ""]) =>
    /^`[a-z_]+`$/u.test(code) && /^\d{3}$/u.test(status) ? [[code.replaceAll("`", ""), Number(status)]] : [],
  );
  assert.deepEqual(
    documented,
    Object.entries(problemKinds).map(([code, { status }]) => [code, status]),
  );
});

test("the documented endpoints are those of the server", async () => {
  const { server } = await httpSystem({ after });
  const documented = rows.map(([first = ""]) => first.replaceAll("`", "")).filter((first) => /^[A-Z]+ \//u.test(first));
  assert.deepEqual(documented, (await server.inject("/")).json<{ endpoints: string[] }>().endpoints);
});

test("the documented parameters have the ranges and defaults of the code", () => {
  for (const name of ["hours", "limit", "min_executions"] as const) {
    const { min, max } = parameterRanges[name];
    const row = rows.find(([first]) => first === `\`${name}\``);
    assert.deepEqual(row?.slice(1, 3), [
      `${min} to ${max}`,
      String({ ...defaultPerformance, ...defaultBottlenecks }[name]),
    ]);
  }
  const sort = rows.find(([first]) => first === "`sort`");
  assert.deepEqual(sort?.slice(1, 3), [
    bottleneckSorts.map((word) => `\`${word}\``).join(", "),
    `\`${defaultBottlenecks.sort}\``,
  ]);
});
