import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { Backlog, StepDetail, Timeseries, VersionComparison } from "../../src/http/api-types.ts";
import { register } from "../support/engine.ts";
import { assertProblem } from "./problems.ts";
import { httpSystem } from "./setup.ts";

describe("GET /v1/analytics/timeseries", () => {
  const url = "/v1/analytics/timeseries";

  test("answers from the database, then with the same bytes from the cache, also when asked in another way", async (t) => {
    const { server } = await httpSystem(t);
    const first = await server.inject(url);
    assert.equal(first.statusCode, 200, first.body);
    assert.equal(first.headers["cache-status"], "tasker; fwd=uri-miss; stored; ttl=60");
    assert.equal(first.json<Timeseries>().bucket, "hour");
    assert.equal(first.json<Timeseries>().points.length, 25);
    for (const query of ["?bucket=auto&hours=24", "?bucket=hour"]) {
      const again = await server.inject(url + query);
      assert.match(String(again.headers["cache-status"]), /^tasker; hit/u);
      assert.deepEqual(again.rawPayload, first.rawPayload);
    }
    for (const query of ["?bucket=day", "?hours=25", "?step_name=ship", "?namespace=shop"]) {
      const other = await server.inject(url + query);
      assert.equal(other.headers["cache-status"], "tasker; fwd=uri-miss; stored; ttl=60", query);
    }
  });

  test("does not keep answers about names that nobody knows", async (t) => {
    const { server } = await httpSystem(t);
    for (const query of ["?namespace=nobody", "?step_name=nothing", "?namespace=nobody&step_name=ship"]) {
      const unknown = await server.inject(url + query);
      assert.equal(unknown.headers["cache-status"], "tasker; fwd=uri-miss", query);
    }
  });

  test("refuses a series that would have too many points, and names the range", async (t) => {
    const { server } = await httpSystem(t);
    const problem = assertProblem(await server.inject(`${url}?bucket=minute`), 400, "invalid_parameter");
    assert.equal(
      problem.detail,
      "hours must be a whole number from 1 to 8 with bucket=minute, got 24: a series has at most 500 points",
    );
    assertProblem(await server.inject(`${url}?hours=0`), 400, "invalid_parameter");
    assertProblem(await server.inject(`${url}?bucket=week`), 400, "invalid_parameter");
  });
});

describe("GET /v1/analytics/backlog", () => {
  const url = "/v1/analytics/backlog";

  test("keeps an answer for a second and no longer", async (t) => {
    const { server, clock } = await httpSystem(t);
    const task = { namespace: "shop", name: "fulfil_order", version: "1.0.0", input: { order: 1 } };
    const claimable = async () => {
      const answer = await server.inject(url);
      assert.equal(answer.statusCode, 200, answer.body);
      return [
        answer.json<Backlog>().namespaces.map((one) => [one.namespace_name, one.claimable_steps]),
        answer.headers["cache-status"],
        answer.headers["cache-control"],
      ];
    };
    const maxAge = "private, max-age=1";
    assert.deepEqual(await claimable(), [[["shop", 0]], "tasker; fwd=uri-miss; stored; ttl=1", maxAge]);
    await server.inject({ method: "POST", url: "/v1/tasks", payload: task });
    await clock.advance(900);
    assert.deepEqual(await claimable(), [[["shop", 0]], "tasker; hit; ttl=0; detail=memory", maxAge]);
    await clock.advance(101);
    assert.deepEqual(await claimable(), [[["shop", 1]], "tasker; fwd=uri-miss; stored; ttl=1", maxAge]);
  });

  test("is about the namespace that is asked for, and takes no other parameter", async (t) => {
    const { server } = await httpSystem(t);
    const known = await server.inject(`${url}?namespace=shop`);
    assert.equal(known.json<Backlog>().namespaces.length, 1);
    assert.match(String(known.headers["cache-status"]), /stored/u);
    const unknown = await server.inject(`${url}?namespace=nobody`);
    assert.deepEqual(unknown.json<Backlog>().namespaces, []);
    assert.equal(unknown.headers["cache-status"], "tasker; fwd=uri-miss");
    assertProblem(await server.inject(`${url}?hours=1`), 400, "invalid_parameter");
  });
});

describe("GET /v1/analytics/steps/{namespace}/{task_name}/{version}/{step_name}", () => {
  const url = "/v1/analytics/steps/shop/fulfil_order/1.0.0";

  test("answers about the step, from the database and then from the cache", async (t) => {
    const { server } = await httpSystem(t);
    const first = await server.inject(`${url}/ship`);
    assert.equal(first.statusCode, 200, first.body);
    assert.equal(first.headers["cache-status"], "tasker; fwd=uri-miss; stored; ttl=60");
    const filters = { namespace: "shop", task_name: "fulfil_order", version: "1.0.0", step_name: "ship" };
    assert.deepEqual(first.json<StepDetail>().filters, filters);
    const again = await server.inject(`${url}/ship?hours=24`);
    assert.deepEqual(again.rawPayload, first.rawPayload);
    assert.match(String(again.headers["cache-status"]), /^tasker; hit/u);
    const other = await server.inject(`${url}/charge`);
    assert.match(String(other.headers["cache-status"]), /stored/u);
  });

  test("says that a step is not known, each time", async (t) => {
    const { server, faults } = await httpSystem(t);
    faults.asked = 0;
    for (const path of [`${url}/nothing`, "/v1/analytics/steps/shop/fulfil_order/9/ship", `${url}/nothing`]) {
      const before = faults.asked;
      const problem = assertProblem(await server.inject(path), 404, "not_found");
      assert.match(problem.detail, /^No template shop\/fulfil_order .* has a step/u);
      assert.ok(faults.asked > before, "the answer is not kept");
    }
  });

  test("refuses what is no name, and a window without end", async (t) => {
    const { server } = await httpSystem(t);
    assertProblem(await server.inject(`${url}/a%00b`), 400, "invalid_id");
    assertProblem(await server.inject(`${url}/${"x".repeat(129)}`), 414, "path_too_long");
    assertProblem(await server.inject(`${url}/ship?hours=0`), 400, "invalid_parameter");
  });
});

describe("GET /v1/analytics/compare", () => {
  const url = "/v1/analytics/compare?namespace=shop&task_name=fulfil_order";

  test("answers about two versions that are registered, and keeps the answer", async (t) => {
    const { server, db } = await httpSystem(t);
    await register(db, { charge: [], ship: ["charge"] }, { name: "fulfil_order", version: "1.1.0" });
    const first = await server.inject(`${url}&a=1.0.0&b=1.1.0`);
    assert.equal(first.statusCode, 200, first.body);
    assert.equal(first.headers["cache-status"], "tasker; fwd=uri-miss; stored; ttl=60");
    const { a, b, steps, tasks } = first.json<VersionComparison>();
    assert.deepEqual([a, b, steps.length], ["1.0.0", "1.1.0", 2]);
    assert.equal(tasks.comparison.p50_duration.verdict, "not_enough_data");
    const again = await server.inject(`${url}&hours=24&b=1.1.0&a=1.0.0`);
    assert.deepEqual(again.rawPayload, first.rawPayload);
    const turned = await server.inject(`${url}&a=1.1.0&b=1.0.0`);
    assert.match(String(turned.headers["cache-status"]), /stored/u);
  });

  test("says which versions are not known, each time", async (t) => {
    const { server } = await httpSystem(t);
    for (let time = 0; time < 2; time++) {
      const problem = assertProblem(await server.inject(`${url}&a=1.0.0&b=9`), 404, "not_found");
      assert.match(problem.detail, /shop\/fulfil_order 1\.0\.0 and 9/u);
    }
  });

  test("refuses to compare a version with itself, or with nothing", async (t) => {
    const { server } = await httpSystem(t);
    const same = assertProblem(await server.inject(`${url}&a=1.0.0&b=1.0.0`), 400, "invalid_parameter");
    assert.equal(same.detail, "a and b must be different versions, got 1.0.0 twice");
    const missing = assertProblem(await server.inject(`${url}&a=1.0.0`), 400, "invalid_parameter");
    assert.match(missing.detail, /^b is required/u);
  });
});
