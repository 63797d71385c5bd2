import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { HealthReport } from "../../src/http/server.ts";
import { deferred } from "../support/deferred.ts";
import { httpSystem } from "./setup.ts";

const sick: HealthReport = {
  healthy: false,
  checks: [{ name: "database", healthy: false, detail: { pool: { max: 10, used: 10, waiting: 3 } } }],
};

describe("the health", () => {
  test("is a yes, and a report", async (t) => {
    const { server } = await httpSystem(t);
    const ready = await server.inject("/health/ready");
    assert.equal(ready.statusCode, 200);
    assert.deepEqual(ready.json(), { status: "ready" });
    const report = await server.inject("/health");
    assert.equal(report.statusCode, 200);
    assert.equal(report.headers["cache-control"], "no-store");
    assert.deepEqual(report.json(), {
      status: "healthy",
      version: "1.2.3",
      checks: [{ name: "database", healthy: true }],
    });
    const details = await server.inject("/v1/system/health");
    assert.deepEqual([details.statusCode, details.json()], [200, report.json()]);
    assert.equal(details.headers["cache-control"], "no-store");
  });

  test("is a no when something is down; the process is alive all the same", async (t) => {
    const { server } = await httpSystem(t, { health: () => Promise.resolve(sick) });
    const ready = await server.inject("/health/ready");
    assert.equal(ready.statusCode, 503);
    assert.deepEqual(ready.json(), { status: "not_ready" });
    const report = await server.inject("/v1/system/health");
    assert.deepEqual((await server.inject("/health")).json(), report.json());
    assert.equal(report.statusCode, 503);
    assert.deepEqual(report.json(), { status: "unhealthy", version: "1.2.3", checks: sick.checks });
    const live = await server.inject("/health/live");
    assert.equal(live.statusCode, 200);
    assert.deepEqual(live.json(), { status: "live" });
  });

  test("is a no when the check itself fails, and its cause is not told", async (t) => {
    const health = (): never => {
      throw new Error("a secret");
    };
    const { server } = await httpSystem(t, { health });
    const report = await server.inject("/health");
    assert.equal(report.statusCode, 503);
    assert.doesNotMatch(report.body, /secret/u);
  });

  test("is asked once for probes that come together, with a deadline, and then anew", async (t) => {
    const asked: ReturnType<typeof deferred<HealthReport>>[] = [];
    const health = (): Promise<HealthReport> => {
      const answer = deferred<HealthReport>();
      asked.push(answer);
      return answer.promise;
    };
    const { server, clock } = await httpSystem(t, { health });
    const probes = [server.inject("/health/ready"), server.inject("/health")];
    await clock.advance(0);
    await clock.advance(2_000);
    for (const probe of probes) assert.equal((await probe).statusCode, 503);
    assert.equal(asked.length, 1);

    const next = server.inject("/health/ready");
    await clock.advance(0);
    assert.equal(asked.length, 2);
    // The first one's answer comes too late for anybody.
    asked[0]?.resolve(sick);
    asked[1]?.resolve({ healthy: true, checks: [] });
    assert.equal((await next).statusCode, 200);
  });
});

describe("the metrics", () => {
  test("count requests by route, not by path, and by status", async (t) => {
    const { server } = await httpSystem(t);
    await server.inject("/health/live");
    await server.inject({ method: "HEAD", url: "/health/live" });
    await server.inject("/v1/tasks/1");
    await server.inject("/v1/tasks/2");
    await server.inject("/nothing");
    await server.inject({ url: "/nothing/else", headers: { host: "evil.example" } });
    await server.inject({ method: "PUT", url: "/v1/tasks" });
    const { body, headers } = await server.inject("/metrics");
    assert.match(String(headers["content-type"]), /^text\/plain; version=0\.0\.4/u);
    const counts = body.split("\n").filter((line) => line.startsWith("tasker_http_requests_total{"));
    assert.deepEqual(counts.toSorted(), [
      'tasker_http_requests_total{route="/health/live",status="200"} 2',
      'tasker_http_requests_total{route="/v1/tasks",status="405"} 1',
      'tasker_http_requests_total{route="/v1/tasks/:task",status="400"} 2',
      'tasker_http_requests_total{route="unknown",status="403"} 1',
      'tasker_http_requests_total{route="unknown",status="404"} 1',
    ]);
  });
});
