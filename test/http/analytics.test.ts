import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { deferred } from "../support/deferred.ts";
import { connectionRefused } from "./faulty-database.ts";
import { assertProblem } from "./problems.ts";
import { httpSystem } from "./setup.ts";

const endpoints = ["/v1/analytics/performance", "/v1/analytics/bottlenecks"];

describe("an analytics endpoint", () => {
  for (const url of endpoints) {
    test(`answers ${url} from the database, then with the same bytes from the cache`, async (t) => {
      const { server, clock } = await httpSystem(t);
      const first = await server.inject(url);
      assert.equal(first.statusCode, 200, first.body);
      assert.equal(first.headers["content-type"], "application/json; charset=utf-8");
      assert.equal(first.headers["cache-status"], "tasker; fwd=uri-miss; stored; ttl=60");
      assert.equal(first.headers["cache-control"], "private, max-age=60");
      assert.equal(first.headers["age"], "0");
      assert.equal(first.headers["vary"], "Accept, Accept-Encoding, Authorization, X-API-Key");
      assert.match(String(first.headers["etag"]), /^"[\w-]+"$/u);
      assert.equal(typeof first.json<{ calculated_at: unknown }>().calculated_at, "string");

      await clock.advance(22_900);
      const second = await server.inject(url);
      assert.deepEqual(second.rawPayload, first.rawPayload);
      assert.equal(second.headers["etag"], first.headers["etag"]);
      assert.equal(second.headers["cache-status"], "tasker; hit; ttl=37; detail=memory");
      assert.equal(second.headers["age"], "22");
    });
  }

  test("computes anew when the time to live has passed", async (t) => {
    const { server, clock } = await httpSystem(t);
    await server.inject("/v1/analytics/performance");
    await clock.advance(60_001);
    const later = await server.inject("/v1/analytics/performance");
    assert.equal(later.headers["cache-status"], "tasker; fwd=uri-miss; stored; ttl=60");
  });

  test("finds the same answer whether defaults are written out or not, and another for other parameters", async (t) => {
    const { server } = await httpSystem(t);
    await server.inject("/v1/analytics/bottlenecks");
    const written = await server.inject(
      "/v1/analytics/bottlenecks?sort=average_duration&hours=24&min_executions=5&limit=10",
    );
    assert.match(String(written.headers["cache-status"]), /^tasker; hit/u);
    const other = await server.inject("/v1/analytics/bottlenecks?limit=11");
    assert.match(String(other.headers["cache-status"]), /fwd=uri-miss/u);
    assert.equal(other.json<{ limit: number }>().limit, 11);
  });

  test("is about the templates that are asked for, and does not keep answers about names that nobody knows", async (t) => {
    const { server } = await httpSystem(t);
    const known = await server.inject("/v1/analytics/performance?namespace=shop&task_name=fulfil_order&version=1.0.0");
    assert.match(String(known.headers["cache-status"]), /stored/u);
    assert.deepEqual(known.json<{ filters: object }>().filters, {
      namespace: "shop",
      task_name: "fulfil_order",
      version: "1.0.0",
    });
    for (let ask = 0; ask < 2; ask++) {
      const unknown = await server.inject("/v1/analytics/performance?namespace=nobody");
      assert.equal(unknown.headers["cache-status"], "tasker; fwd=uri-miss");
      assert.equal(unknown.headers["cache-control"], "no-store");
    }
  });

  test("tells a caller that joined another's computation so", async (t) => {
    const { server, faults, clock } = await httpSystem(t);
    const asked = deferred();
    const gate = deferred();
    faults.hold = () => {
      asked.resolve();
      return gate.promise;
    };
    const leader = server.inject("/v1/analytics/performance");
    await asked.promise;
    const follower = server.inject("/v1/analytics/performance");
    // Until the second request waits too.
    await clock.advance(0);
    await clock.advance(0);
    gate.resolve();
    assert.match(String((await leader).headers["cache-status"]), /stored/u);
    assert.equal((await follower).headers["cache-status"], "tasker; fwd=uri-miss; stored; collapsed; ttl=60");
    assert.deepEqual((await follower).rawPayload, (await leader).rawPayload);
  });

  test("does not let the request's own Cache-Control reach the cache", async (t) => {
    const { server } = await httpSystem(t);
    await server.inject("/v1/analytics/performance");
    const headers = { "cache-control": "no-cache, no-store, max-age=0", pragma: "no-cache" };
    const insisting = await server.inject({ url: "/v1/analytics/performance", headers });
    assert.match(String(insisting.headers["cache-status"]), /^tasker; hit/u);
  });

  test("answers HEAD with the headers of GET and no body", async (t) => {
    const { server } = await httpSystem(t);
    const got = await server.inject("/v1/analytics/performance");
    const head = await server.inject({ method: "HEAD", url: "/v1/analytics/performance" });
    assert.equal(head.statusCode, 200);
    assert.equal(head.body, "");
    for (const name of ["content-type", "content-length", "etag", "cache-control", "vary"]) {
      assert.equal(head.headers[name], got.headers[name], name);
    }
  });
});

describe("If-None-Match", () => {
  test("is answered with 304 when the caller has the bytes, and with 200 otherwise", async (t) => {
    const { server, clock } = await httpSystem(t);
    const url = "/v1/analytics/performance";
    const first = await server.inject(url);
    const etag = String(first.headers["etag"]);
    await clock.advance(2_000);
    for (const given of [etag, `W/${etag}`, "*", `"other", ${etag}`, `"a,b",W/${etag}`]) {
      for (const method of ["GET", "HEAD"] as const) {
        const answer = await server.inject({ method, url, headers: { "if-none-match": given } });
        assert.equal(answer.statusCode, 304, given);
        assert.equal(answer.body, "");
        assert.equal(answer.headers["etag"], etag);
        assert.equal(answer.headers["age"], "2");
        assert.equal(answer.headers["cache-control"], "private, max-age=60");
        assert.equal(answer.headers["vary"], first.headers["vary"]);
        assert.equal(answer.headers["content-type"], undefined);
      }
    }
    for (const given of ['"other"', "", etag.slice(1), `${etag}x`, '"*"']) {
      const answer = await server.inject({ url, headers: { "if-none-match": given } });
      assert.equal(answer.statusCode, 200, given);
      assert.deepEqual(answer.rawPayload, first.rawPayload);
    }
  });
});

describe("while the database is down", () => {
  test("a cached answer is served, one that is not cached is a 503 that tells nothing of the cause", async (t) => {
    const { server, faults, log } = await httpSystem(t);
    await server.inject("/v1/analytics/performance");
    faults.error = connectionRefused();
    const cached = await server.inject("/v1/analytics/performance");
    assert.equal(cached.statusCode, 200);
    assert.match(String(cached.headers["cache-status"]), /^tasker; hit/u);

    const failed = await server.inject("/v1/analytics/bottlenecks");
    assertProblem(failed, 503, "database_unavailable");
    assert.equal(failed.headers["retry-after"], "1");
    assert.doesNotMatch(failed.body, /10\.1\.2\.3|5432|ECONN/u);

    const causes = log.filter(({ details }) => details["err"] === faults.error);
    assert.equal(causes.length, 1);
    assert.equal(causes[0]?.details["requestId"], failed.headers["x-request-id"]);
  });

  test("slow or failing analytics do not close the creation of tasks", async (t) => {
    const { server, faults, clock } = await httpSystem(t);
    faults.error = connectionRefused();
    for (let tries = 0; tries < 6; tries++) {
      // Past the pause in which a failure is repeated without asking.
      await clock.advance(1_001);
      await server.inject("/v1/analytics/performance");
    }
    assertProblem(await server.inject("/v1/analytics/bottlenecks"), 503, "circuit_breaker_open");
    faults.error = undefined;
    const task = { namespace: "shop", name: "fulfil_order", version: "1.0.0", input: { order: 1 } };
    const created = await server.inject({ method: "POST", url: "/v1/tasks", payload: task });
    assert.equal(created.statusCode, 201, created.body);
  });
});
