import assert from "node:assert/strict";
import { after, describe, test } from "node:test";

import type { TaskBody } from "../../src/http/endpoints/get-task.ts";
import { registerTemplate } from "../../src/templates/register.ts";
import { defineTask } from "../../src/workflow/define-task.ts";
import { assertProblem, type Response } from "./problems.ts";
import { httpSystem, type HttpSystem } from "./setup.ts";

const system = await httpSystem({ after });

const order = { namespace: "shop", name: "fulfil_order", version: "1.0.0", input: { order: 1 } };

function post(
  { server }: HttpSystem,
  payload: object | string,
  headers: Record<string, string> = {},
): Promise<Response> {
  const json = { "content-type": "application/json", ...headers };
  return server.inject({ method: "POST", url: "/v1/tasks", payload, headers: json });
}

describe("POST /v1/tasks", () => {
  test("creates a task that GET then shows with its steps", async () => {
    const created = await post(system, {
      ...order,
      idempotency_key: "order-1",
      correlation_id: "basket-7",
      tags: ["vip", "größe"],
      priority: -32_768,
      run_at: "2027-01-01t01:00:00.5+01:00",
    });
    assert.equal(created.statusCode, 201, created.body);
    const { id, outcome } = created.json<{ id: string; outcome: string }>();
    assert.equal(outcome, "created");
    assert.equal(created.headers["location"], `/v1/tasks/${id}`);

    const shown = await system.server.inject(`/v1/tasks/${id}`);
    assert.equal(shown.statusCode, 200, shown.body);
    assert.equal(shown.headers["cache-control"], "no-store");
    const { created_at, steps, ...task } = shown.json<TaskBody>();
    assert.deepEqual(task, {
      id,
      namespace: "shop",
      name: "fulfil_order",
      version: "1.0.0",
      revision: 1,
      state: "pending",
      input: { order: 1 },
      idempotency_key: "order-1",
      correlation_id: "basket-7",
      tags: ["vip", "größe"],
      priority: -32_768,
      run_at: "2027-01-01T00:00:00.500000Z",
      ended_at: null,
    });
    assert.match(created_at, /^\d{4}-.*Z$/u);
    assert.deepEqual(
      steps.map(({ name, state, failed_attempts }) => ({ name, state, failed_attempts })),
      [
        { name: "charge", state: "enqueued", failed_attempts: 0 },
        { name: "ship", state: "pending", failed_attempts: 0 },
      ],
    );
  });

  test("finds the task of an idempotency key again, and refuses the key with another input", async () => {
    const first = await post(system, { ...order, idempotency_key: "k" });
    const again = await post(system, { ...order, idempotency_key: "k" });
    assert.equal(again.statusCode, 200);
    assert.deepEqual(again.json(), { id: first.json<{ id: string }>().id, outcome: "existing" });
    const other = await post(system, { ...order, idempotency_key: "k", input: { order: 2 } });
    assertProblem(other, 409, "idempotency_conflict");
  });

  test("refuses what no template accepts", async () => {
    assertProblem(await post(system, { ...order, name: "ship_moon" }), 404, "unknown_template");
    const invalid = assertProblem(await post(system, { ...order, input: { order: "one" } }), 400, "invalid_payload");
    assert.match(invalid.detail, /^the input of shop\/fulfil_order 1\.0\.0 is not valid: order: /u);
  });

  test("refuses input that cannot be stored", async () => {
    // Whose input nobody else checks.
    const { spec } = defineTask({ namespace: "shop", name: "anything", version: "1" }).step("only", () => null);
    await registerTemplate(system.db, spec, undefined, false);
    const inputs = ['"\\u0000"', '"\\ud800"', `${"[".repeat(200_000)}${"]".repeat(200_000)}`];
    for (const input of inputs) {
      const body = `{"namespace":"shop","name":"anything","version":"1","input":${input}}`;
      assertProblem(await post(system, body), 400, "invalid_payload");
    }
    assert.equal(
      (await post(system, { namespace: "shop", name: "anything", version: "1", input: null })).statusCode,
      201,
    );
  });

  test("names every field that is not valid", async () => {
    const bad: readonly (readonly [field: string, value: unknown, message: RegExp])[] = [
      ["namespace", "", /^must be a text of 1 to 128 characters/u],
      ["name", 7, /^must be a text of 1 to 128 characters/u],
      ["version", "1\n2", /without control characters$/u],
      ["idempotency_key", "k".repeat(256), /1 to 255 characters/u],
      ["correlation_id", "\0", /1 to 255 characters/u],
      ["tags", "vip", /^must be a list of at most 20 texts of 1 to 100 characters/u],
      ["tags", Array.from({ length: 21 }, String), /at most 20/u],
      ["tags", ["x".repeat(101)], /1 to 100/u],
      ["tags", ["\ud800"], /1 to 100/u],
      ["priority", 32_768, /^must be a whole number from -32768 to 32767$/u],
      ["priority", "1", /^must be a whole number/u],
      ["priority", 1.5, /^must be a whole number/u],
      ["run_at", "tomorrow", /^must be an RFC 3339 time/u],
      ["run_at", "2026-02-30T00:00:00Z", /^must be an RFC 3339 time/u],
      ["run_at", "2026-12-31T23:59:60Z", /^must be an RFC 3339 time/u],
      ["run_at", "0000-01-01T00:00:00Z", /from 1970 to 9999/u],
      ["run_at", "9999-12-31T23:59:59-01:00", /from 1970 to 9999/u],
      ["run_at", 0, /^must be an RFC 3339 time/u],
      ["runAt", "2026-12-31T23:59:59Z", /^is not known; there are namespace, name, version, input, /u],
    ];
    for (const [field, value, message] of bad) {
      const problem = assertProblem(await post(system, { ...order, [field]: value }), 400, "invalid_body");
      assert.equal(problem.errors?.length, 1, field);
      assert.equal(problem.errors[0]?.field, field);
      assert.match(problem.errors[0]?.message ?? "", message);
    }
    const empty = assertProblem(await post(system, {}), 400, "invalid_body");
    assert.deepEqual(
      empty.errors?.map(({ field }) => field),
      ["namespace", "name", "version", "input"],
    );
    assert.match(empty.errors?.[0]?.message ?? "", /^is required: a text of/u);
  });

  test("takes texts as long as it says, whatever their bytes", async () => {
    const long = "\u{1F600}".repeat(255);
    const tags = Array.from({ length: 20 }, () => "\u{1F600}".repeat(100));
    const created = await post(system, { ...order, idempotency_key: long, correlation_id: long, tags });
    assert.equal(created.statusCode, 201, created.body);
  });

  test("takes only JSON objects, and only as application/json", async () => {
    for (const body of ["{", "", "{}{}", '{"a":01}']) assertProblem(await post(system, body), 400, "invalid_json");
    for (const body of ["[]", "1", "null", '"x"']) assertProblem(await post(system, body), 400, "invalid_body");
    assertProblem(await system.server.inject({ method: "POST", url: "/v1/tasks" }), 400, "invalid_body");
    const others = [
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data; boundary=x",
      "application/json-patch+json",
      "nonsense",
    ];
    for (const type of others) {
      assertProblem(await post(system, JSON.stringify(order), { "content-type": type }), 415, "unsupported_media_type");
    }
    const utf8 = await post(system, order, { "content-type": "application/json; charset=utf-8" });
    assert.equal(utf8.statusCode, 201);
  });

  test("refuses a body that is too large", async (t) => {
    const small = await httpSystem(t, { bodyLimitBytes: 2_000 });
    const big = { ...order, correlation_id: "x".repeat(2_000) };
    assertProblem(await post(small, big), 413, "body_too_large");
    assert.equal((await post(small, order)).statusCode, 201);
  });
});

describe("GET /v1/tasks/{task}", () => {
  test("tells an id that is none from a task that is none", async () => {
    const { server, faults } = system;
    faults.asked = 0;
    for (const id of ["1", "019a0000-0000-7000-8000-00000000000g", "019a000000007000800000000000000000"]) {
      const problem = assertProblem(await server.inject(`/v1/tasks/${id}`), 400, "invalid_id");
      assert.deepEqual(problem.errors, [{ parameter: "task", message: `must be a UUID, got "${id}"` }]);
    }
    assert.equal(faults.asked, 0);
    const missing = assertProblem(
      await server.inject("/v1/tasks/019A0000-0000-7000-8000-000000000000"),
      404,
      "not_found",
    );
    assert.match(missing.detail, /^There is no task /u);
  });
});
