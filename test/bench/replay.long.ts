import assert from "node:assert/strict";
import { basename } from "node:path";
import { after, describe, test } from "node:test";

import { scaleFor } from "../../bench/replay/definition.ts";
import { violationsOf } from "../../bench/replay/evidence.ts";
import { replay } from "../../bench/replay/replay.ts";
import { readTrace, type Trace } from "../../bench/replay/trace.ts";
import { traceFiles, tracesFolder } from "../../bench/replay/trace-files.ts";
import { testDatabase } from "../support/database.ts";
import { chain, forkJoin, join, layers, parallelChains, processNames, uneven } from "./traces.ts";

const { url } = await testDatabase({ after });

/** Traces of our own in the shapes of the recorded ones. */
const own: readonly (() => Trace)[] = [
  () => chain(5),
  () => forkJoin(40),
  () => join(800),
  () => layers(20, 30, 15),
  () => parallelChains(40, 6),
  () => processNames(150),
  () => uneven(285),
];

const files = traceFiles();

describe("every recorded execution is replayed with each step once, in order, and answered for", () => {
  if (files === undefined) {
    test(`there is no folder ${tracesFolder()}: traces of our own in the same shapes take their place`, async () => {
      for (const make of own) await assertReplays(make());
    });
    return;
  }
  assert.ok(files.length > 0, `${tracesFolder()} holds no executions`);
  for (const file of files) test(basename(file), async () => assertReplays(readTrace(file)));

  test("so is a join of 800 of our own", async () => assertReplays(join(800)));
});

async function assertReplays(trace: Trace): Promise<void> {
  // As fast as the engine can, then with waits that spread the ends; the second time all is warm.
  for (const scale of [0, scaleFor(trace, 0.5)]) {
    const evidence = await replay(trace, { url, scale, repeat: 2, concurrency: 1000 });
    assert.deepEqual(violationsOf(evidence), [], trace.name);
  }
}
