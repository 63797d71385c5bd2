import assert from "node:assert/strict";
import { basename } from "node:path";
import { after, describe, test } from "node:test";

import { scaleFor } from "../../bench/replay/definition.ts";
import { type Evidence, violationsOf } from "../../bench/replay/evidence.ts";
import { replay } from "../../bench/replay/replay.ts";
import { readTrace, type Trace } from "../../bench/replay/trace.ts";
import { traceFiles } from "../../bench/replay/trace-files.ts";
import { testDatabase } from "../support/database.ts";
import { chain, forkJoin, layers, processNames, trace } from "./traces.ts";

const { url } = await testDatabase({ after });
/** The checks wait until all is folded. */
const foldIntervalMs = 20;

/** Replays so that the longest step takes a twentieth of a second. */
function replayShortly(what: Trace, repeat = 1): Promise<Evidence> {
  return replay(what, { url, scale: scaleFor(what, 0.05), repeat, concurrency: 100, foldIntervalMs });
}

describe("a replay runs each step once and after its parents, and the analytics answer what its handlers measured:", () => {
  const own = [
    chain(5),
    forkJoin(10),
    layers(6, 4, 2),
    processNames(3),
    trace("a lone step of 0 s", { lone: { seconds: 0 } }),
  ];
  for (const one of own) test(one.name, async () => assert.deepEqual(violationsOf(await replayShortly(one)), []));

  // The recorded ones lie beside the repository, not in it; replay.long.ts replays them all.
  const recorded = (traceFiles() ?? []).filter((file) => /^(?:helloworld|blast|montage)/u.test(basename(file)));
  for (const file of recorded) {
    test(basename(file), async () => assert.deepEqual(violationsOf(await replayShortly(readTrace(file))), []));
  }

  test("one that runs several times and more steps at once than it may", async () => {
    const what = forkJoin(20);
    const evidence = await replay(what, { url, scale: 0.01, repeat: 4, concurrency: 3, foldIntervalMs });
    assert.equal(evidence.runs.length, 4);
    assert.deepEqual(violationsOf(evidence), []);
  });
});

describe("a replay reports", async () => {
  const evidence = await replayShortly(forkJoin(4));
  const [run] = evidence.runs;
  const join = evidence.trace.steps.at(-1)?.name ?? "";

  /** The evidence with one step's call or record as `change` makes it. */
  const withCall = (step: string, change: (call: Evidence["calls"][number]) => Evidence["calls"]): Evidence => ({
    ...evidence,
    calls: evidence.calls.flatMap((call) => (call.step === step ? change(call) : [call])),
  });
  const withStep = (
    name: string,
    change: (step: Evidence["stored"]["steps"][number]) => Evidence["stored"]["steps"],
  ): Evidence => {
    const steps = evidence.stored.steps.flatMap((step) => (step.name === name ? change(step) : [step]));
    return { ...evidence, stored: { ...evidence.stored, steps } };
  };
  const answered = (
    change: (answered: Evidence["answers"][number]["answered"]) => Evidence["answers"][number]["answered"],
  ): Evidence => ({
    ...evidence,
    answers: evidence.answers.map((answer) => ({ ...answer, answered: change(answer.answered) })),
  });

  const cases: readonly (readonly [what: string, evidence: Evidence, rule: RegExp])[] = [
    ["a step that did not run", withCall(join, () => []), /a step runs exactly once: join ran 0 times/u],
    ["a step that ran twice", withCall(join, (call) => [call, call]), /a step runs exactly once: join ran 2 times/u],
    [
      "a handler that began before a parent's had ended",
      withCall("fork", (call) => [{ ...call, endedMs: call.endedMs + 10_000 }]),
      /no handler begins before its parents' have ended/u,
    ],
    [
      "a handler without the results of a parent",
      withCall(join, (call) => [{ ...call, resultsOf: call.resultsOf.slice(1) }]),
      /a handler is given its parents' results/u,
    ],
    ["a step that is not stored", withStep(join, () => []), /a task has the steps of its trace/u],
    [
      "a result that was recorded twice",
      withStep(join, (step) => [{ ...step, resultCount: 2 }]),
      /a step is recorded exactly once/u,
    ],
    [
      "a step that was ready before its last parent's end",
      withStep(join, (step) => [{ ...step, readyUs: (step.readyUs ?? 0) - 1 }]),
      /a step is ready when its last parent has ended/u,
    ],
    [
      "a step that started before its parents' end",
      withStep(join, (step) => [{ ...step, startedUs: step.createdUs }]),
      /no step starts before its parents have ended/u,
    ],
    [
      "a step that another than its last parent released",
      withStep(join, (step) => [{ ...step, releasedBy: "fork" }]),
      /a step is released by a parent that ended last/u,
    ],
    [
      "a run time that is not the handler's",
      withStep(join, (step) => [{ ...step, runUs: (step.runUs ?? 0) + 1_000_000 }]),
      /the recorded run time is the handler's/u,
    ],
    [
      "a mean that is off by a microsecond",
      withStep("branch_1", (step) => [{ ...step, runUs: (step.runUs ?? 0) + 1 }]),
      /performance \(24 h, at once\): average_step_duration_seconds/u,
    ],
    [
      "a percentile that is off by 3 %",
      answered((answer) => {
        const { step_duration } = answer.performance;
        const p95_seconds = (step_duration.p95_seconds ?? 0) * 1.03;
        return { ...answer, performance: { ...answer.performance, step_duration: { ...step_duration, p95_seconds } } };
      }),
      /performance \(all history, folded\): step_duration p95/u,
    ],
    [
      "an answer about fewer steps",
      answered((answer) => ({ ...answer, steps: answer.steps.slice(1) })),
      /step figures \(24 h, folded\): the number of steps/u,
    ],
    [
      "slow steps in another order",
      answered((answer) => ({
        ...answer,
        bottlenecks: answer.bottlenecks.map((one) => ({ ...one, slow_steps: one.slow_steps.toReversed() })),
      })),
      /bottlenecks by average_duration \(24 h, at once\): place 1/u,
    ],
    [
      "a task that did not complete",
      {
        ...evidence,
        stored: {
          ...evidence.stored,
          tasks: evidence.stored.tasks.map((task) => (task.id === run?.taskId ? { ...task, state: "error" } : task)),
        },
      },
      /a replayed task is complete/u,
    ],
  ];
  test("nothing when nothing is wrong", () => assert.deepEqual(violationsOf(evidence), []));
  for (const [what, wrong, rule] of cases) {
    test(what, () => assert.match(violationsOf(wrong).join("\n"), rule));
  }
});
