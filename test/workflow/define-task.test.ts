import assert from "node:assert/strict";
import { test } from "node:test";

import { defineTask } from "../../src/workflow/define-task.ts";
import { defaultRetryPolicy } from "../../src/workflow/retry.ts";

const name = { namespace: "shop", name: "order", version: "1.0.0" };
const nothing = (): null => null;

test("a definition is data and handlers: steps in order, with their parents, policies and timeouts", () => {
  const pack = (): number => 1;
  const definition = defineTask(name)
    .step("pack", pack)
    .step("send", { after: ["pack"], retry: { maxAttempts: 5 }, timeoutMs: 10_000 }, nothing)
    .step("track", { concurrency: 2, heartbeatTimeoutMs: 5000 }, nothing);
  assert.deepEqual(definition.spec, {
    ...name,
    steps: [
      { name: "pack", after: [], retry: defaultRetryPolicy, timeoutMs: null },
      { name: "send", after: ["pack"], retry: { ...defaultRetryPolicy, maxAttempts: 5 }, timeoutMs: 10_000 },
      {
        name: "track",
        after: [],
        retry: defaultRetryPolicy,
        timeoutMs: null,
        concurrency: 2,
        heartbeatTimeoutMs: 5000,
      },
    ],
  });
  assert.deepEqual(definition.name, name);
  assert.equal(definition.schema, undefined);
  assert.equal(definition.handlerOf("pack"), pack);
  assert.equal(definition.handlerOf("none"), undefined);
});

test("adding a step leaves the definition before it as it was", () => {
  const base = defineTask(name).step("pack", nothing);
  const one = base.step("send", nothing);
  const other = base.step("mail", { after: ["pack"] }, nothing);
  assert.deepEqual(
    [base, one, other].map((definition) => definition.spec.steps.map((step) => step.name)),
    [["pack"], ["pack", "send"], ["pack", "mail"]],
  );
  assert.equal(base.handlerOf("send"), undefined);
});

test("what a caller does to the options afterwards changes nothing", () => {
  const options = { after: ["pack" as const], retry: { maxAttempts: 5 } };
  const definition = defineTask(name).step("pack", nothing).step("send", options, nothing);
  options.after.pop();
  options.retry.maxAttempts = 1;
  const [, send] = definition.spec.steps;
  assert.deepEqual([send?.after, send?.retry.maxAttempts], [["pack"], 5]);
});

test("a definition that is wrong fails at the step that is wrong, also without the compiler", () => {
  const base = defineTask(name).step("pack", nothing);
  const untyped: { step(name: string, options: unknown, handler?: unknown): unknown } = base;
  const problem = (message: string) => ({
    name: "InvalidDefinitionError",
    message: `Template shop/order 1.0.0: ${message}`,
  });
  assert.throws(() => untyped.step("pack", nothing), problem('step "pack" is defined twice'));
  assert.throws(
    () => untyped.step("send", { after: ["paint"] }, nothing),
    problem('step "send" comes after "paint", which is not defined above it'),
  );
  assert.throws(
    () => untyped.step("send", { timeoutMs: 0 }, nothing),
    problem('step "send": timeoutMs must be a whole number from 1 to 86400000, got 0'),
  );
  assert.throws(
    () => untyped.step("send", { heartbeatTimeoutMs: 0.5 }, nothing),
    problem('step "send": heartbeatTimeoutMs must be a whole number from 1 to 86400000, got 0.5'),
  );
  assert.throws(
    () => untyped.step("send", { concurrency: 0 }, nothing),
    problem('step "send": concurrency must be a whole number from 1 to 1000000, got 0'),
  );
  assert.throws(() => untyped.step("send", { after: ["pack"] }), {
    name: "TypeError",
    message: 'Step "send" has no handler function',
  });
});

test("a definition without steps is no template", () => {
  assert.throws(() => defineTask(name).spec, { message: "Template shop/order 1.0.0: it has no steps" });
});
