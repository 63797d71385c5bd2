import assert from "node:assert/strict";
import { test } from "node:test";

import { ask } from "./ask.ts";
import { httpSystem } from "./setup.ts";

/** They differ from one request to the next. */
const ofOneRequest = ["x-request-id", "date"];

test("HEAD has the headers of GET on every route, in every coding, and no body", async (t) => {
  const { server } = await httpSystem(t);
  await server.start();
  const task = { namespace: "shop", name: "fulfil_order", version: "1.0.0", input: { order: 1 } };
  const created = await server.inject({ method: "POST", url: "/v1/tasks", payload: task });
  const { id } = created.json<{ id: string }>();
  const { endpoints } = (await server.inject("/")).json<{ endpoints: string[] }>();
  const paths = endpoints
    .filter((endpoint) => endpoint.startsWith("GET "))
    .map((endpoint) => endpoint.slice("GET ".length).replace("{task}", id));
  assert.ok(paths.length >= 8);
  for (const path of [...paths, "/v1/tasks/none", "/nothing"]) {
    // So that the next two find the same in the cache.
    await ask(server, path);
    for (const coding of ["identity", "gzip", "br"]) {
      // One id for both: a problem holds it, and those that the server makes grow longer.
      const headers = { "accept-encoding": coding, "x-request-id": "head" };
      const got = await ask(server, path, { headers });
      const head = await ask(server, path, { method: "HEAD", headers });
      assert.equal(head.status, got.status, path);
      assert.equal(head.body.length, 0);
      assert.equal(got.headers["content-length"], String(got.body.length), path);
      // The metrics count the request before; a problem tells the id of its request.
      const changing = path === "/metrics" ? ["content-length"] : [];
      const without = [...ofOneRequest, ...changing];
      const comparable = (all: typeof got.headers): object =>
        Object.fromEntries(Object.entries(all).filter(([name]) => !without.includes(name)));
      assert.deepEqual(comparable(head.headers), comparable(got.headers), `${path} ${coding}`);
    }
  }
});
