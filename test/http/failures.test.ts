import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { deferred } from "../support/deferred.ts";
import { connectionRefused, serverError } from "./faulty-database.ts";
import { assertProblem, type Response } from "./problems.ts";
import { httpSystem, type HttpSystem } from "./setup.ts";

const someTask = "/v1/tasks/019a0000-0000-7000-8000-000000000000";

function get({ server }: HttpSystem, url = someTask): Promise<Response> {
  return server.inject(url);
}

function problemsIn({ log }: HttpSystem) {
  return log.filter(({ level }) => level === "warn" || level === "error");
}

describe("a failure of the server", () => {
  test("is logged with its cause and the request's id, and told without it", async (t) => {
    const system = await httpSystem(t);
    system.faults.error = serverError("42P01");
    const headers = { "x-request-id": "r-1" };
    const failed = await system.server.inject({ url: someTask, headers });
    const problem = assertProblem(failed, 500, "internal_error");
    assert.doesNotMatch(failed.body, /secret|42P01/u);
    assert.equal(problem.request_id, "r-1");
    assert.deepEqual(problemsIn(system), [
      {
        level: "error",
        message: "a request failed",
        details: { requestId: "r-1", method: "GET", route: "/v1/tasks/:task", err: system.faults.error },
      },
    ]);
  });

  test("is logged once, however many requests share it", async (t) => {
    const system = await httpSystem(t);
    system.faults.error = serverError("42P01");
    for (let asks = 0; asks < 3; asks++) {
      assertProblem(await get(system, "/v1/analytics/performance"), 500, "internal_error");
    }
    assert.equal(problemsIn(system).length, 1);
  });

  test("that fails every request is logged once a second, with a count", async (t) => {
    const system = await httpSystem(t);
    const fail = async (): Promise<void> => {
      // A new error each time, and a success between them, so that the breaker stays closed.
      system.faults.error = connectionRefused();
      assertProblem(await get(system), 503, "database_unavailable");
      system.faults.error = undefined;
      assertProblem(await get(system), 404, "not_found");
    };
    for (let requests = 0; requests < 4; requests++) await fail();
    assert.equal(problemsIn(system).length, 1);
    await system.clock.advance(1_000);
    await fail();
    assert.deepEqual(
      problemsIn(system).map(({ details }) => details["othersUnlogged"]),
      [undefined, 3],
    );
  });

  test("does not become worse by a logger that throws", async (t) => {
    const broken = (): never => {
      throw new Error("the logger is broken");
    };
    const logger = { debug: broken, info: broken, warn: broken, error: broken };
    const system = await httpSystem(t, { logger });
    system.faults.error = serverError("42P01");
    assertProblem(await get(system), 500, "internal_error");
  });
});

describe("what a caller does wrong", () => {
  test("is not logged, and never opens the breaker", async (t) => {
    const system = await httpSystem(t);
    const { server } = system;
    const task = { namespace: "shop", name: "fulfil_order", version: "1.0.0", input: { order: 1 } };
    const wrong = [
      { ...task, name: "unknown" },
      { ...task, input: {} },
      { ...task, tags: 1 },
    ];
    for (let tries = 0; tries < 4; tries++) {
      for (const payload of wrong) await server.inject({ method: "POST", url: "/v1/tasks", payload });
      await get(system);
    }
    const created = await server.inject({ method: "POST", url: "/v1/tasks", payload: task });
    assert.equal(created.statusCode, 201);
    assert.deepEqual(problemsIn(system), []);
  });
});

describe("an outage of the database", () => {
  test("opens the breaker, which answers at once and lets a request try after a while", async (t) => {
    const system = await httpSystem(t);
    const { faults, clock } = system;
    faults.error = connectionRefused();
    for (let tries = 0; tries < 5; tries++) assertProblem(await get(system), 503, "database_unavailable");
    faults.asked = 0;
    const refused = await get(system);
    assertProblem(refused, 503, "circuit_breaker_open");
    assert.equal(refused.headers["retry-after"], "2");
    assert.equal(faults.asked, 0);

    faults.error = undefined;
    await clock.advance(2_000);
    assertProblem(await get(system), 404, "not_found");
    assertProblem(await get(system), 404, "not_found");
    assert.equal(system.log.filter(({ message }) => message.startsWith("the database keeps failing")).length, 1);
    assert.equal(system.log.filter(({ message }) => message === "the database answers again").length, 1);
  });

  test("does not concern the probes", async (t) => {
    const system = await httpSystem(t);
    system.faults.error = connectionRefused();
    for (let tries = 0; tries < 6; tries++) await get(system);
    assert.equal((await get(system, "/health/live")).statusCode, 200);
    assert.equal((await get(system, "/health/ready")).statusCode, 200);
  });
});

describe("a request that takes long", () => {
  test("is answered when its deadline comes, and what comes later is dropped", async (t) => {
    const system = await httpSystem(t, { requestTimeoutMs: 4_000 });
    const gate = deferred();
    const asked = deferred();
    system.faults.hold = () => {
      asked.resolve();
      return gate.promise;
    };
    const answer = get(system);
    await asked.promise;
    await system.clock.advance(4_000);
    assertProblem(await answer, 503, "deadline_exceeded");
    assert.equal((await answer).headers["retry-after"], "1");
    gate.resolve();
    assertProblem(await get(system), 404, "not_found");
  });

  test("is logged when it took more than a second", async (t) => {
    const system = await httpSystem(t);
    const gate = deferred();
    const asked = deferred();
    system.faults.hold = () => {
      asked.resolve();
      return gate.promise;
    };
    const answer = get(system);
    await asked.promise;
    await system.clock.advance(1_500);
    gate.resolve();
    const { headers } = await answer;
    const details = { requestId: headers["x-request-id"], method: "GET", route: "/v1/tasks/:task", status: 404 };
    assert.deepEqual(problemsIn(system), [
      { level: "warn", message: "a request was slow", details: { ...details, durationMs: 1_500 } },
    ]);
  });
});
