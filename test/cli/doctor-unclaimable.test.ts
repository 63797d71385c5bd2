import assert from "node:assert/strict";
import { after, test } from "node:test";

import { announceWorker } from "../../src/engine/live-workers.ts";
import type { Finding } from "../../src/engine/doctor/finding.ts";
import { newId } from "../../src/engine/ids.ts";
import { exitCodeOf } from "../../src/cli/explain.ts";
import { createProgram } from "../../src/cli/program.ts";
import { Elections } from "../../src/engine/leadership.ts";
import { testDatabase } from "../support/database.ts";
import { createTask, moveClock, register, stepIdOf, stopClock } from "../support/engine.ts";
import { recordedTerminal } from "./terminals.ts";

const { db, url } = await testDatabase({ after });
await stopClock(db);

type Told = Pick<Finding, "check" | "subject" | "problem">;

async function doctor(): Promise<{ code: number; unclaimable: readonly Told[] }> {
  const { terminal, out } = recordedTerminal();
  let code = 0;
  try {
    await createProgram({ terminal, env: { DATABASE_URL: url } }).parseAsync(["doctor", "--json"], { from: "user" });
  } catch (error) {
    code = exitCodeOf(error);
  }
  // As printed: the shape is the command's own.
  const { findings } = JSON.parse(out()) as { findings: readonly Told[] };
  return { code, unclaimable: findings.filter(({ check }) => check === "unclaimable") };
}

test("doctor names steps that no live worker has a handler for, until one has", async () => {
  const elections = new Elections(db, 3_600_000);
  for (const chore of ["fold", "rescue"]) assert.ok(await elections.lead(chore));
  const template = await register(db, { pack: [] });
  await createTask(db, template);
  assert.deepEqual((await doctor()).unclaimable, [], "a worker may be starting");
  await moveClock(db, 61);
  const { code, unclaimable } = await doctor();
  assert.equal(code, 1);
  assert.deepEqual(
    unclaimable.map(({ subject, problem }) => [subject, problem]),
    [
      [
        `${template.spec.namespace}/${template.spec.name} ${template.spec.version} pack`,
        "1 step could have been claimed for up to 61 s, and no live worker has a handler for them",
      ],
    ],
  );
  await announceWorker(db, { id: newId(), namedStepIds: [stepIdOf(template, "pack")], leaseMs: 30_000 });
  assert.deepEqual((await doctor()).unclaimable, []);
});
