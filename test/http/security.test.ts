import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { assertProblem, type Response } from "./problems.ts";
import { httpSystem } from "./setup.ts";

describe("a request that a web page made a browser send", () => {
  test("is refused when the page's name was pointed at this machine (DNS rebinding)", async (t) => {
    const { server, faults } = await httpSystem(t, { allowedHosts: ["tasker.example.com", "ops.example.com:8443"] });
    const ask = (host: string): Promise<Response> =>
      server.inject({ url: "/v1/analytics/performance", headers: { host } });
    const foreign = [
      "evil.example",
      "evil.example:8080",
      "localhost.evil.example",
      "127.0.0.1.evil.example",
      "notlocalhost",
      "127.evil",
      "10.0.0.1",
      "[fe80::1]",
      "[::1",
      "localhost@evil.example",
      "evil.example/localhost",
      "localhost:",
      "localhost evil.example",
      "ops.example.com",
      "ops.example.com:8080",
    ];
    for (const host of foreign) assertProblem(await ask(host), 403, "forbidden_host");
    assert.equal(faults.asked, 0);
    const ours = [
      "localhost",
      "LOCALHOST:8080",
      "localhost.",
      "tasker.localhost:1",
      "127.0.0.1",
      "127.8.9.10:8080",
      "[::1]",
      "[::1]:8080",
      "tasker.example.com",
      "Tasker.Example.com:443",
      "ops.example.com:8443",
    ];
    for (const host of ours) assert.equal((await ask(host)).statusCode, 200, host);
  });

  test("is refused on any path, known or not", async (t) => {
    const { server } = await httpSystem(t);
    const headers = { host: "evil.example" };
    for (const url of ["/", "/nothing", "/health/live", "/v1/tasks"]) {
      assertProblem(await server.inject({ url, headers }), 403, "forbidden_host");
    }
  });

  test("is refused when it comes from another origin", async (t) => {
    const { server } = await httpSystem(t);
    const host = "localhost:8080";
    const payload = { namespace: "shop", name: "fulfil_order", version: "1.0.0", input: { order: 1 } };
    const post = (origin: string): Promise<Response> =>
      server.inject({ method: "POST", url: "/v1/tasks", headers: { host, origin }, payload });
    const foreign = [
      "http://evil.example",
      "http://localhost",
      "http://localhost:8081",
      "http://127.0.0.1:8080",
      "null",
    ];
    for (const origin of [...foreign, "file://", "chrome-extension://localhost:8080", ""]) {
      assertProblem(await post(origin), 403, "forbidden_origin");
    }
    // A proxy may speak https to the browser.
    for (const origin of ["http://localhost:8080", "https://localhost:8080"]) {
      assert.equal((await post(origin)).statusCode, 201, origin);
    }
  });

  test("is refused when it is a form, which browsers send without asking", async (t) => {
    const { server } = await httpSystem(t);
    for (const type of ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"]) {
      const form = { method: "POST", url: "/v1/tasks", payload: "a=b", headers: { "content-type": type } } as const;
      assertProblem(await server.inject(form), 415, "unsupported_media_type");
    }
  });

  test("gets no permission to read across origins", async (t) => {
    const { server } = await httpSystem(t);
    const headers = { origin: "http://localhost", "access-control-request-method": "POST" };
    const preflight = await server.inject({ method: "OPTIONS", url: "/v1/tasks", headers });
    assertProblem(preflight, 405, "method_not_allowed");
    const names = [preflight, await server.inject("/")].flatMap((answer) => Object.keys(answer.headers));
    assert.ok(!names.some((name) => name.startsWith("access-control-")));
  });
});

describe("the host", () => {
  test("that was configured is a name of the server", async (t) => {
    const { server } = await httpSystem(t, { host: "FD00::0001", allowUnauthenticated: true });
    assert.equal((await server.inject({ url: "/", headers: { host: "[fd00::1]:8080" } })).statusCode, 200);
    assertProblem(await server.inject({ url: "/", headers: { host: "[fd00::2]:8080" } }), 403, "forbidden_host");
  });

  test("is any address when the server listens on all, but never any name", async (t) => {
    for (const host of ["0.0.0.0", "::"]) {
      const { server } = await httpSystem(t, { host, allowUnauthenticated: true });
      for (const address of ["10.1.2.3:8080", "[fd00::1]"]) {
        assert.equal((await server.inject({ url: "/", headers: { host: address } })).statusCode, 200);
      }
      assertProblem(await server.inject({ url: "/", headers: { host: "evil.example" } }), 403, "forbidden_host");
    }
  });
});

describe("every answer", () => {
  test("carries the security headers and does not name the software", async (t) => {
    const { server } = await httpSystem(t);
    const urls = ["/", "/v1/analytics/performance", "/nothing", "/v1/tasks/x", "/v1/tasks/%zz", "/health", "/metrics"];
    for (const url of urls) {
      const { headers } = await server.inject(url);
      assert.equal(headers["x-content-type-options"], "nosniff", url);
      assert.equal(headers["referrer-policy"], "no-referrer", url);
      for (const name of ["server", "x-powered-by"]) assert.equal(headers[name], undefined);
    }
  });

  test("echoes a sane request id, and brings one of its own otherwise", async (t) => {
    const { server } = await httpSystem(t);
    for (const given of ["7f3a", "req:1/2+3=4@host_a-b.c", "x".repeat(128)]) {
      const answer = await server.inject({ url: "/nothing", headers: { "x-request-id": given } });
      assert.equal(assertProblem(answer, 404, "unknown_route").request_id, given);
    }
    const own = new Set<unknown>();
    for (const given of ["", "x".repeat(129), "a b", "<script>", "é"]) {
      const answer = await server.inject({ url: "/health/live", headers: { "x-request-id": given } });
      own.add(answer.headers["x-request-id"]);
      assert.notEqual(answer.headers["x-request-id"], given);
    }
    assert.equal(own.size, 5);
  });
});
