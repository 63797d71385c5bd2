import assert from "node:assert/strict";
import { after, describe, test } from "node:test";

import { assertProblem } from "./problems.ts";
import { httpSystem } from "./setup.ts";

const { server } = await httpSystem({ after });

describe("the routes", () => {
  test("are listed at /, and each answers to its method", async () => {
    const index = (await server.inject("/")).json<{ name: string; version: string; endpoints: string[] }>();
    assert.equal(index.name, "tasker");
    assert.equal(index.version, "1.2.3");
    assert.deepEqual(index.endpoints, [
      "GET /",
      "POST /v1/tasks",
      "GET /v1/tasks/{task}",
      "GET /v1/analytics/performance",
      "GET /v1/analytics/bottlenecks",
      "GET /v1/analytics/timeseries",
      "GET /v1/analytics/backlog",
      "GET /v1/analytics/steps/{namespace}/{task_name}/{version}/{step_name}",
      "GET /v1/analytics/compare",
      "GET /health/live",
      "GET /health/ready",
      "GET /health",
      "GET /v1/system/health",
      "GET /metrics",
    ]);
    for (const endpoint of index.endpoints) {
      const [method, path = ""] = endpoint.split(" ");
      if (method !== "GET" || path.includes("{")) continue;
      for (const one of ["GET", "HEAD"] as const) {
        // The only one that must be told what it is about.
        const status = path === "/v1/analytics/compare" ? 400 : 200;
        assert.equal((await server.inject({ method: one, url: path })).statusCode, status, endpoint);
      }
    }
  });

  test("refuse other methods and say which there are, whatever the body", async () => {
    const cases = [
      ["GET", "/v1/tasks", "POST"],
      ["HEAD", "/v1/tasks", "POST"],
      ["DELETE", "/v1/tasks/1", "GET, HEAD"],
      ["POST", "/v1/analytics/performance", "GET, HEAD"],
      ["OPTIONS", "/health", "GET, HEAD"],
      ["PUT", "/", "GET, HEAD"],
    ] as const;
    for (const [method, url, allow] of cases) {
      const answer = await server.inject({ method, url, payload: "a=b", headers: { "content-type": "text/plain" } });
      assert.equal(answer.headers["allow"], allow);
      if (method === "HEAD") assert.equal(answer.statusCode, 405);
      else assertProblem(answer, 405, "method_not_allowed");
    }
  });

  test("that do not exist are problems too, however they are asked for", async () => {
    for (const url of ["/v2", "/v1/tasks/1/2", "/V1/tasks", "//", "/v1/analytics", "/health/live/"]) {
      assertProblem(await server.inject(url), 404, "unknown_route");
    }
    const form = {
      method: "POST",
      url: "/nothing",
      payload: "a=b",
      headers: { "content-type": "text/plain" },
    } as const;
    assertProblem(await server.inject(form), 404, "unknown_route");
    assertProblem(await server.inject("/v1/tasks/%zz"), 400, "malformed_request");
    assertProblem(await server.inject(`/v1/tasks/${"x".repeat(129)}`), 414, "path_too_long");
  });
});
