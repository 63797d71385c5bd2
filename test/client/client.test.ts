import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { TaskerClient } from "../../src/client/client.ts";
import { ApiError, UnreachableError } from "../../src/client/errors.ts";

/** A client whose requests are kept and answered by hand. */
function clientThat(
  answer: () => Response,
  baseUrl = "http://tasker.example",
): { client: TaskerClient; asked: Request[] } {
  const asked: Request[] = [];
  const client = new TaskerClient({
    baseUrl,
    fetch: (input, init) => {
      asked.push(new Request(input, init));
      return Promise.resolve(answer());
    },
  });
  return { client, asked };
}

function json(body: unknown, init: ResponseInit = {}): Response {
  return Response.json(body, init);
}

function problem(status: number, members: object): Response {
  return new Response(JSON.stringify(members), { status, headers: { "content-type": "application/problem+json" } });
}

describe("the client", () => {
  test("asks with the parameters that are given and leaves the others to the server", async () => {
    const { client, asked } = clientThat(() => json({}), "http://tasker.example/behind/a/proxy/");
    await client.performance();
    await client.performance({ hours: 0, namespace: "a&b", version: undefined });
    await client.bottlenecks({ limit: 3, min_executions: 1, sort: "p95_duration" });
    await client.timeseries({ bucket: "5m", step_name: "ship" });
    await client.backlog({ namespace: "shop" });
    const step = { namespace: "shop", task_name: "order", version: "1.0.0+b", step_name: "ship" };
    await client.step(step, { hours: 3 });
    await client.compare({ namespace: "shop", task_name: "order", a: "1", b: "2" });
    await client.task("a/b");
    assert.deepEqual(
      asked.map(({ url }) => url.replace("http://tasker.example/behind/a/proxy", "")),
      [
        "/v1/analytics/performance",
        "/v1/analytics/performance?hours=0&namespace=a%26b",
        "/v1/analytics/bottlenecks?limit=3&min_executions=1&sort=p95_duration",
        "/v1/analytics/timeseries?bucket=5m&step_name=ship",
        "/v1/analytics/backlog?namespace=shop",
        "/v1/analytics/steps/shop/order/1.0.0%2Bb/ship?hours=3",
        "/v1/analytics/compare?namespace=shop&task_name=order&a=1&b=2",
        "/v1/tasks/a%2Fb",
      ],
    );
  });

  test("gives an answer's body, its very text, and what the headers say of its age", async () => {
    const text = '{"total_tasks": 3}';
    const headers = {
      "content-type": "application/json; charset=utf-8",
      age: "12",
      "cache-status": "tasker; hit; ttl=48",
      etag: '"x"',
    };
    const { client } = clientThat(() => new Response(text, { headers }));
    const { body, ...rest } = await client.performance();
    assert.equal(body.total_tasks, 3);
    assert.deepEqual(rest, { text, age: 12, cacheStatus: "tasker; hit; ttl=48", etag: '"x"' });
  });

  test("creates a task by a JSON body", async () => {
    const { client, asked } = clientThat(() => json({ id: "1", outcome: "created" }, { status: 201 }));
    const task = { namespace: "shop", name: "order", version: "1.0.0", input: { id: 1 }, idempotency_key: "k" };
    assert.deepEqual(await client.createTask(task), { id: "1", outcome: "created" });
    const [request] = asked;
    assert.equal(request?.method, "POST");
    assert.equal(request.headers.get("content-type"), "application/json");
    assert.deepEqual(await request.json(), task);
  });

  test("takes the report of an unhealthy server for an answer", async () => {
    const { client } = clientThat(() => json({ status: "unhealthy", version: "1", checks: [] }, { status: 503 }));
    assert.equal((await client.health()).status, "unhealthy");
  });

  test("rejects with what a problem says", async () => {
    const errors = [{ parameter: "hours", message: "must be a whole number" }];
    const { client } = clientThat(() =>
      problem(400, { code: "invalid_parameter", title: "t", detail: "hours must be", errors, request_id: "r-1" }),
    );
    await assert.rejects(client.performance(), (error) => {
      assert.ok(error instanceof ApiError);
      const { code, status, detail, requestId, message } = error;
      assert.deepEqual(
        { code, status, detail, requestId },
        { code: "invalid_parameter", status: 400, detail: "hours must be", requestId: "r-1" },
      );
      assert.deepEqual(error.errors, errors);
      assert.equal(message, "hours must be (400 invalid_parameter)");
      return true;
    });
  });

  test("tells when to try again", async () => {
    const answer = problem(503, { code: "circuit_breaker_open", detail: "d" });
    answer.headers.set("retry-after", "2");
    await assert.rejects(clientThat(() => answer).client.performance(), { name: "ApiError", retryAfterSeconds: 2 });
  });

  test("survives answers that are not Tasker's", async () => {
    const answers = [
      new Response("<html>Bad Gateway</html>", { status: 502, headers: { "content-type": "text/html" } }),
      new Response("<html>welcome</html>", { status: 200, headers: { "content-type": "text/html" } }),
      new Response("not json", { status: 500, headers: { "content-type": "application/problem+json" } }),
      problem(500, [1]),
      problem(500, { code: 7, errors: ["x"] }),
    ];
    for (const answer of answers) {
      const { client } = clientThat(() => answer);
      await assert.rejects(client.performance(), {
        name: "ApiError",
        code: "unknown",
        status: answer.status,
        errors: [],
      });
    }
  });

  test("names the URL that cannot be reached, and why", async () => {
    // Nothing listens on port 6, and a name under .invalid has no address (RFC 2606).
    for (const [baseUrl, reason] of [
      ["http://127.0.0.1:6", /ECONNREFUSED/u],
      ["http://nowhere.invalid", /ENOTFOUND|EAI_AGAIN/u],
    ] as const) {
      await assert.rejects(new TaskerClient({ baseUrl }).performance(), (error) => {
        assert.ok(error instanceof UnreachableError);
        assert.equal(error.url, `${baseUrl}/v1/analytics/performance`);
        assert.ok(error.message.startsWith(`${error.url} cannot be reached: `), error.message);
        assert.match(error.message, reason);
        return true;
      });
    }
  });

  test("ends its waiting with the caller's signal", async () => {
    const client = new TaskerClient({ baseUrl: "http://127.0.0.1:6" });
    await assert.rejects(client.performance({}, { signal: AbortSignal.abort() }), { name: "UnreachableError" });
  });
});
