import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import type { RetryPolicy } from "../../src/workflow/retry.ts";
import {
  checkTemplate,
  definitionHash,
  graphHash,
  type StepSpec,
  templateLabel,
  type TemplateSpec,
} from "../../src/workflow/template.ts";
import { randomCases } from "../support/random.ts";

const retry: RetryPolicy = { maxAttempts: 3, initialDelayMs: 1000, factor: 2, maxDelayMs: 60_000 };

function step(name: string, options: Partial<StepSpec> = {}): StepSpec {
  return { name, after: [], retry, timeoutMs: null, ...options };
}

function template(options: Partial<TemplateSpec> = {}): TemplateSpec {
  return {
    namespace: "shop",
    name: "order",
    version: "1.0.0",
    steps: [step("pack"), step("send", { after: ["pack"] })],
    ...options,
  };
}

function refuses(spec: TemplateSpec, problem: string): void {
  assert.throws(() => checkTemplate(spec), {
    name: "InvalidDefinitionError",
    code: "invalid_definition",
    message: `Template ${templateLabel(spec)}: ${problem}`,
  });
}

test("a template is named by its namespace, its name and its version", () => {
  assert.equal(templateLabel(template()), "shop/order 1.0.0");
});

test("a good template is returned as it is", () => {
  const spec = template();
  assert.equal(checkTemplate(spec), spec);
});

const namespaceRule = "the namespace must be 1 to 63 of a-z, 0-9, _ and -, beginning with a letter";
const nameRule = "the name must be 1 to 128 of letters, digits, _ . -, beginning with a letter";
const versionRule = "the version must be 1 to 64 of letters, digits, _ . + -";

test("names are of letters that are safe everywhere, and bounded", () => {
  for (const namespace of ["", "Shop", "1shop", "sh op", "shöp", "a".repeat(64), "shop\n"]) {
    refuses(template({ namespace }), namespaceRule);
  }
  for (const name of ["", "1order", "or/der", "x".repeat(129), "order\n"]) refuses(template({ name }), nameRule);
  for (const version of ["", "-1", "1 0", "v".repeat(65), "1\n"]) refuses(template({ version }), versionRule);
  const longest = { namespace: "a".repeat(63), name: `A${"._-9".repeat(31)}xyz`, version: `1${".+-_".repeat(15)}abc` };
  assert.equal(checkTemplate(template(longest)).name.length, 128);
});

test("a step's name is checked, and the message names the step", () => {
  refuses(
    template({ steps: [step("pack"), step("1 send")] }),
    'step "1 send": a step\'s name must be 1 to 128 of letters, digits, _ . -, beginning with a letter',
  );
});

test("a template has at least one step and at most 10000", () => {
  refuses(template({ steps: [] }), "it has no steps");
  const many = Array.from({ length: 10_001 }, (_, index) => step(`s${index}`));
  refuses(template({ steps: many }), "it has 10001 steps; at most 10000 are allowed");
  checkTemplate(template({ steps: many.slice(1) }));
});

test("a name is defined once", () => {
  refuses(template({ steps: [step("pack"), step("pack")] }), 'step "pack" is defined twice');
});

test("a step comes after steps that are defined above it, each named once", () => {
  refuses(
    template({ steps: [step("send", { after: ["pack"] }), step("pack")] }),
    'step "send" comes after "pack", which is not defined above it',
  );
  refuses(
    template({ steps: [step("send", { after: ["send"] })] }),
    'step "send" comes after "send", which is not defined above it',
  );
  refuses(
    template({ steps: [step("pack"), step("send", { after: ["pack", "pack"] })] }),
    'step "send" names a parent twice in "after"',
  );
});

const policyRules: readonly (readonly [Partial<RetryPolicy>, string])[] = [
  [{ maxAttempts: 0 }, "retry.maxAttempts must be a whole number from 1 to 1000, got 0"],
  [{ maxAttempts: 1001 }, "retry.maxAttempts must be a whole number from 1 to 1000, got 1001"],
  [{ maxAttempts: 1.5 }, "retry.maxAttempts must be a whole number from 1 to 1000, got 1.5"],
  [{ maxAttempts: Number.NaN }, "retry.maxAttempts must be a whole number from 1 to 1000, got NaN"],
  [{ initialDelayMs: -1 }, "retry.initialDelayMs must be from 0 to 86400000, got -1"],
  [{ initialDelayMs: Number.POSITIVE_INFINITY }, "retry.initialDelayMs must be from 0 to 86400000, got Infinity"],
  [{ factor: 0.5 }, "retry.factor must be from 1 to 100, got 0.5"],
  [{ factor: 101 }, "retry.factor must be from 1 to 100, got 101"],
  [{ maxDelayMs: -1 }, "retry.maxDelayMs must be from 0 to 86400000, got -1"],
  [{ maxDelayMs: 86_400_001 }, "retry.maxDelayMs must be from 0 to 86400000, got 86400001"],
];

test("a retry policy is within its bounds, and the message names the step, the key and the value", () => {
  for (const [wrong, problem] of policyRules) {
    refuses(template({ steps: [step("pack", { retry: { ...retry, ...wrong } })] }), `step "pack": ${problem}`);
  }
});

test("a timeout is a whole number of milliseconds up to a day", () => {
  for (const timeoutMs of [0, -5, 1.5, 86_400_001, Number.NaN]) {
    refuses(
      template({ steps: [step("pack", { timeoutMs })] }),
      `step "pack": timeoutMs must be a whole number from 1 to 86400000, got ${timeoutMs}`,
    );
  }
  checkTemplate(template({ steps: [step("pack", { timeoutMs: 86_400_000 })] }));
});

test("the same definition has the same hashes, however its objects were made", () => {
  const same = template({
    steps: [step("pack"), { timeoutMs: null, retry: { ...retry }, after: ["pack"], name: "send" }],
  });
  assert.equal(definitionHash(same, { type: "object" }), definitionHash(template(), { type: "object" }));
  assert.equal(graphHash(same), graphHash(template()));
});

test("each part of a definition changes its hash, and only names and dependencies that of the graph", () => {
  const base = template();
  const variants: readonly (readonly [spec: TemplateSpec, schema: unknown])[] = [
    [base, { type: "string" }],
    ...Object.entries({ maxAttempts: 4, initialDelayMs: 5, factor: 3, maxDelayMs: 6 }).map(
      ([key, value]) =>
        [
          template({ steps: [step("pack", { retry: { ...retry, [key]: value } }), step("send", { after: ["pack"] })] }),
          null,
        ] as const,
    ),
    ...[{ timeoutMs: 5 }, { concurrency: 5 }, { heartbeatTimeoutMs: 5 }, { concurrency: 5, heartbeatTimeoutMs: 5 }].map(
      (options) => [template({ steps: [step("pack", options), step("send", { after: ["pack"] })] }), null] as const,
    ),
  ];
  const hashes = [definitionHash(base, null), ...variants.map(([spec, schema]) => definitionHash(spec, schema))];
  assert.equal(new Set(hashes).size, hashes.length);
  for (const [spec] of variants) assert.equal(graphHash(spec), graphHash(base));

  const otherGraphs = [
    template({ steps: [step("pack"), step("send")] }),
    template({ steps: [step("pack"), step("ship", { after: ["pack"] })] }),
    template({ steps: [step("pack")] }),
    template({ steps: [step("pack"), step("send", { after: ["pack"] }), step("mail")] }),
  ];
  const graphs = [graphHash(base), ...otherGraphs.map(graphHash)];
  assert.equal(new Set(graphs).size, graphs.length);
});

test("the order in which steps and parents are written is no part of the graph", () => {
  const names = ["a", "b", "c", "d"];
  const graph = new Map([
    ["a", []],
    ["b", []],
    ["c", ["a", "b"]],
    ["d", ["b", "c"]],
  ]);
  const written = fc
    .shuffledSubarray(names, { minLength: 4 })
    .map((order) =>
      template({ steps: order.map((name) => step(name, { after: (graph.get(name) ?? []).toReversed() })) }),
    );
  const straight = template({ steps: names.map((name) => step(name, { after: graph.get(name) ?? [] })) });
  fc.assert(
    fc.property(written, (spec) => {
      assert.equal(graphHash(spec), graphHash(straight));
    }),
    randomCases(200),
  );
});
