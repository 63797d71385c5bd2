import assert from "node:assert/strict";
import { after, test } from "node:test";

import { z } from "zod";

import { inputJsonSchema } from "../../src/templates/input-schema.ts";
import { defineTask } from "../../src/workflow/define-task.ts";
import { testDatabase } from "../support/database.ts";
import { onlyRow } from "../support/engine.ts";
import { templateSystem } from "./setup.ts";

const { db } = await testDatabase({ after });

const nothing = (): null => null;

function named(name: string) {
  return { namespace: "shop", name, version: "1.0.0" };
}

test("a registry knows the handler of each step by the id of its kind", async () => {
  const { registry } = templateSystem(db);
  const pack = (): number => 1;
  const definition = defineTask(named("known"))
    .step("pack", pack)
    .step("send", { after: ["pack"] }, nothing);
  await registry.register([definition]);
  const steps = [...registry.steps.values()];
  assert.deepEqual(
    steps.map(({ spec }) => spec.name),
    ["pack", "send"],
  );
  assert.equal(steps[0]?.handler, pack);
  assert.equal(registry.definitionOf(named("known")), definition);
  assert.equal(registry.definitionOf(named("unknown")), undefined);
});

test("a definition that is wrong keeps all of its list from being registered", async () => {
  const { registry } = templateSystem(db);
  const good = defineTask(named("good")).step("pack", nothing);
  await assert.rejects(registry.register([good, defineTask(named("empty"))]), { code: "invalid_definition" });
  assert.deepEqual(await db.query({ text: "select 1 from tasker.named_tasks where name = 'good'" }), []);
  assert.equal(registry.steps.size, 0);
});

test("a step runs under the policy of the revision that its task pins", async () => {
  const [old, current] = [templateSystem(db), templateSystem(db)];
  await old.registry.register([defineTask(named("pinned")).step("pack", { timeoutMs: 111 }, nothing)]);
  await current.registry.register([defineTask(named("pinned")).step("pack", { timeoutMs: 222 }, nothing)]);
  const [before] = old.registry.steps.values();
  const [now] = current.registry.steps.values();
  assert.ok(before && now);
  assert.equal((await current.registry.pinnedSpec(db, now.registered.revisionId, now)).timeoutMs, 222);
  assert.equal((await current.registry.pinnedSpec(db, before.registered.revisionId, now)).timeoutMs, 111);
});

test("the graph of a used version is refused in production, and accepted in development", async () => {
  const { registry, submitter } = templateSystem(db);
  await registry.register([defineTask(named("used")).step("pack", nothing)]);
  await submitter.submit(named("used"), [{ input: 1 }]);
  const changed = defineTask(named("used")).step("wrap", nothing);
  await assert.rejects(templateSystem(db).registry.register([changed]), { code: "graph_changed" });
  await templateSystem(db, { allowGraphChange: true }).registry.register([changed]);
});

test("the JSON Schema of inputs is stored, when the schema's library can give one", async () => {
  const { registry } = templateSystem(db);
  const input = z.object({ count: z.number() });
  await registry.register([defineTask({ ...named("described"), input }).step("pack", nothing)]);
  const { schema } = await onlyRow<{ schema: Record<string, unknown> }>(
    db,
    `select r.input_schema as schema from tasker.named_task_revisions r
      join tasker.named_tasks t on t.id = r.named_task_id where t.name = 'described'`,
  );
  assert.equal(schema["type"], "object");
  assert.deepEqual(schema["properties"], { count: { type: "number" } });
});

test("a schema that has no JSON Schema still checks, and none is stored", () => {
  assert.equal(inputJsonSchema(undefined), undefined);
  assert.equal(inputJsonSchema(z.custom<Map<string, number>>((value) => value instanceof Map)), undefined);
  const plain = { "~standard": { version: 1, vendor: "own", validate: (value: unknown) => ({ value }) } } as const;
  assert.equal(inputJsonSchema(plain), undefined);
});
