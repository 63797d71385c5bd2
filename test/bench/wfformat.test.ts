import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";

import { parseTrace, readTrace } from "../../bench/replay/trace.ts";
import { TraceError } from "../../bench/replay/trace-error.ts";
import { ids, trace, wfFormat } from "./traces.ts";

function fails(document: unknown, message: RegExp): void {
  assert.throws(
    () => parseTrace("t", document),
    (error) => error instanceof TraceError && error.message.startsWith("t: ") && message.test(error.message),
  );
}

/** A document whose tasks are as given, whatever they are. */
function documentOf(specified: unknown, executed: unknown = []): object {
  return {
    schemaVersion: "1.5",
    workflow: { specification: { tasks: specified }, execution: { tasks: executed } },
  };
}

describe("a trace", () => {
  test("is read with its steps in topological order, otherwise as they stand", () => {
    const { steps, edgeCount, notes } = trace("t", {
      last: { after: ["b", "a"], seconds: 3 },
      b: { after: ["a"], seconds: 2 },
      a: { seconds: 1.5 },
      alone: { seconds: 0 },
    });
    assert.deepEqual(
      steps.map(({ id, runSeconds, parents }) => [id, runSeconds, parents]),
      [
        ["a", 1.5, []],
        ["alone", 0, []],
        ["b", 2, ["a"]],
        ["last", 3, ["b", "a"]],
      ],
    );
    assert.equal(edgeCount, 3);
    assert.deepEqual(notes, []);
  });

  test("has an edge once, whether the parent, the child or both name it", () => {
    const tasks = [
      { id: "a", name: "a", children: ["b", "c", "b"] },
      { id: "b", name: "b", parents: ["a", "a"], children: ["c"] },
      { id: "c", name: "c" },
    ];
    const { steps, edgeCount } = parseTrace("t", documentOf(tasks));
    assert.deepEqual(
      steps.map(({ id, parents }) => [id, parents]),
      [
        ["a", []],
        ["b", ["a"]],
        ["c", ["a", "b"]],
      ],
    );
    assert.equal(edgeCount, 3);
  });

  test("without a run time for a task is replayed with 0 s, and says so", () => {
    const untimed = Object.fromEntries(ids("u", 5).map((id) => [id, { seconds: null }]));
    const { steps, notes } = trace("t", { a: {}, ...untimed });
    assert.deepEqual(
      steps.map((step) => step.runSeconds),
      [1, 0, 0, 0, 0, 0],
    );
    assert.deepEqual(notes, ["no run time for u_0, u_1, u_2 and 2 more: replayed as 0 s"]);
  });

  test("that executed a task it does not specify leaves it out, and says so", () => {
    const { steps, notes } = parseTrace(
      "t",
      documentOf(
        [{ id: "a" }],
        [
          { id: "a", runtimeInSeconds: 1 },
          { id: "ghost", runtimeInSeconds: 2 },
        ],
      ),
    );
    assert.equal(steps.length, 1);
    assert.deepEqual(notes, ["executed, but not specified: ghost: left out"]);
  });
});

describe("a trace is refused", () => {
  const cases: readonly (readonly [what: string, document: unknown, message: RegExp])[] = [
    ["that is no object", [], /the document should be an object, got \[\]/u],
    ["of another version", { schemaVersion: "1.4" }, /schemaVersion should be "1\.5", got "1\.4"/u],
    ["without a version", {}, /schemaVersion should be "1\.5", got undefined/u],
    ["without a workflow", { schemaVersion: "1.5" }, /workflow should be an object, got undefined/u],
    ["whose tasks are no list", documentOf({}), /workflow\.specification\.tasks should be a list, got \{\}/u],
    ["without tasks", documentOf([]), /it has no tasks/u],
    ["with a task without an id", documentOf([{ name: "a" }]), /tasks\[0\]\.id should be a text that is not empty/u],
    ["with an id that is no text", documentOf([{ id: 7 }]), /tasks\[0\]\.id should be a text .*, got 7/u],
    ["with an id twice", documentOf([{ id: "a" }, { id: "a" }]), /two tasks have the id "a"/u],
    [
      "with an unknown parent",
      documentOf([{ id: "a", parents: ["z"] }]),
      /task "a" names the parent "z", but no task/u,
    ],
    ["with an unknown child", documentOf([{ id: "a", children: ["z"] }]), /task "a" names the child "z", but no task/u],
    ["whose task is its own parent", documentOf([{ id: "a", parents: ["a"] }]), /wait for each other: a -> a/u],
    [
      "whose run time is negative",
      documentOf([{ id: "a" }], [{ id: "a", runtimeInSeconds: -1 }]),
      /the run time of task "a" should be seconds, 0 or more, got -1/u,
    ],
    [
      "whose run time is no number",
      documentOf([{ id: "a" }], [{ id: "a", runtimeInSeconds: "1" }]),
      /the run time of task "a" should be seconds, 0 or more, got "1"/u,
    ],
    [
      "that executed a task twice",
      documentOf(
        [{ id: "a" }],
        [
          { id: "a", runtimeInSeconds: 1 },
          { id: "a", runtimeInSeconds: 1 },
        ],
      ),
      /task "a" was executed twice/u,
    ],
    [
      "with more tasks than a template may have steps",
      documentOf(ids("t", 10_001).map((id) => ({ id }))),
      /it has 10001 tasks; at most 10000/u,
    ],
  ];
  for (const [what, document, message] of cases) test(what, () => fails(document, message));

  test("with a cycle, which it names", () => {
    const document = wfFormat({
      root: {},
      a: { after: ["root", "c"] },
      b: { after: ["a"] },
      c: { after: ["b"] },
      d: { after: ["c"] },
    });
    fails(document, /its tasks wait for each other: (?:a -> b -> c -> a|b -> c -> a -> b|c -> a -> b -> c)$/u);
  });

  test("that is no JSON, naming the file", () => {
    const folder = mkdtempSync(join(tmpdir(), "tasker-trace-"));
    try {
      const file = join(folder, "broken.json");
      writeFileSync(file, "{");
      assert.throws(() => readTrace(file), /^TraceError: broken: .*broken\.json is not JSON: /u);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
