import assert from "node:assert/strict";
import { after, describe, test } from "node:test";

import { assertProblem } from "./problems.ts";
import { httpSystem } from "./setup.ts";

const { server, faults } = await httpSystem({ after });

const hours = "must be a whole number from 0 to 8760";
const limit = "must be a whole number from 1 to 100";
const minExecutions = "must be a whole number from 1 to 1000000";
const sort = "must be one of average_duration, p95_duration, total_time, critical_path, queue_wait, retry, error_rate";
const name = "must be a text of 1 to 128 characters without control characters";

const bad: readonly (readonly [query: string, parameter: string, message: string])[] = [
  ["hours=-1", "hours", `${hours}, got "-1"`],
  ["hours=8761", "hours", `${hours}, got "8761"`],
  ["hours=1.5", "hours", `${hours}, got "1.5"`],
  ["hours=1e2", "hours", `${hours}, got "1e2"`],
  ["hours=0x10", "hours", `${hours}, got "0x10"`],
  ["hours=%2024", "hours", `${hours}, got " 24"`],
  ["hours=", "hours", `${hours}, got ""`],
  ["hours", "hours", `${hours}, got ""`],
  ["hours=NaN", "hours", `${hours}, got "NaN"`],
  ["hours=99999999999999999999", "hours", `${hours}, got "99999999999999999999"`],
  ["hours=1&hours=1", "hours", `${hours}, and given once`],
  ["limit=0", "limit", `${limit}, got "0"`],
  ["limit=101", "limit", `${limit}, got "101"`],
  ["min_executions=0", "min_executions", `${minExecutions}, got "0"`],
  ["min_executions=1000001", "min_executions", `${minExecutions}, got "1000001"`],
  ["sort=", "sort", `${sort}, got ""`],
  ["sort=duration", "sort", `${sort}, got "duration"`],
  ["namespace=", "namespace", `${name}, got ""`],
  ["namespace=a%00b", "namespace", `${name}, got "a\\u0000b"`],
  ["namespace=a&namespace=b", "namespace", `${name}, and given once`],
  [`task_name=${"x".repeat(129)}`, "task_name", `${name}, got "${"x".repeat(60)}…"`],
  ["version=%0A", "version", `${name}, got "\\n"`],
];

describe("the parameters of a query", () => {
  test("out of range are refused by name and range", async () => {
    faults.asked = 0;
    for (const [query, parameter, message] of bad) {
      const problem = assertProblem(
        await server.inject(`/v1/analytics/bottlenecks?${query}`),
        400,
        "invalid_parameter",
      );
      assert.deepEqual(problem.errors, [{ parameter, message }], query);
      assert.equal(problem.detail, `${parameter} ${message}`);
    }
    assert.equal(faults.asked, 0);
  });

  test("at the ends of their ranges are accepted", async () => {
    const queries = ["hours=0&limit=1&min_executions=1", "hours=8760&limit=100&min_executions=1000000&sort=error_rate"];
    for (const query of queries) {
      const answer = await server.inject(`/v1/analytics/bottlenecks?${query}`);
      assert.equal(answer.statusCode, 200, answer.body);
    }
  });

  test("that nobody knows are refused, and those that exist are named", async () => {
    const known = "is not known; there are hours, namespace, task_name, version";
    for (const parameter of ["limit", "Hours", "refresh", "__proto__", "constructor", "hours[]"]) {
      const query = `${encodeURIComponent(parameter)}=1`;
      const problem = assertProblem(
        await server.inject(`/v1/analytics/performance?${query}`),
        400,
        "invalid_parameter",
      );
      assert.deepEqual(problem.errors, [{ parameter, message: known }]);
    }
  });

  test("are all reported at once, but not without end", async () => {
    const problem = assertProblem(
      await server.inject("/v1/analytics/performance?hours=x&days=1&namespace="),
      400,
      "invalid_parameter",
    );
    assert.deepEqual(
      problem.errors?.map(({ parameter }) => parameter),
      ["days", "hours", "namespace"],
    );
    const many = Array.from({ length: 90 }, (_, index) => `p${index}=1`).join("&");
    const flood = assertProblem(await server.inject(`/v1/analytics/performance?${many}`), 400, "invalid_parameter");
    assert.equal(flood.errors?.length, 20);
  });

  test("are judged anew for each query, however often queries repeat", async () => {
    for (let round = 0; round < 2; round++) {
      assert.equal((await server.inject("/v1/analytics/performance?hours=1")).statusCode, 200);
      assertProblem(await server.inject("/v1/analytics/performance?limit=1"), 400, "invalid_parameter");
      assert.equal((await server.inject("/v1/analytics/bottlenecks?limit=1")).statusCode, 200);
    }
    // More different ones than are remembered.
    for (let hour = 0; hour < 250; hour++) {
      const answer = await server.inject(`/v1/analytics/performance?hours=${9_000 + hour}`);
      assertProblem(answer, 400, "invalid_parameter");
    }
    const long = "n".repeat(300);
    assertProblem(await server.inject(`/v1/analytics/performance?namespace=${long}`), 400, "invalid_parameter");
  });
});
