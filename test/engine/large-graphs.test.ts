import assert from "node:assert/strict";
import { after, test } from "node:test";

import { testDatabase } from "../support/database.ts";
import { claim, create, createTask, type Graph, onlyRow, register, settle, success } from "../support/engine.ts";
import { checkInvariants } from "./invariants.ts";

const { db } = await testDatabase({ after });

const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

/** Runs what can be claimed, in batches, until nothing can; returns how many steps each batch had. */
async function runAll(template: Awaited<ReturnType<typeof register>>, limit: number): Promise<number[]> {
  const batches: number[] = [];
  for (;;) {
    const claims = await claim(db, template, { limit });
    if (claims.length === 0) return batches;
    batches.push(claims.length);
    await settle(db, ...claims.map((held) => success(held, held.namedStepId)));
  }
}

test("a thousand tasks are created in one call and run to their ends", async () => {
  const template = await register(db, { a: [], b: ["a"], c: ["a", "b"] });
  const created = await create(
    db,
    template,
    Array.from({ length: 1000 }, () => ({})),
  );
  assert.equal(new Set(created.map(({ id }) => id)).size, 1000);
  const batches = await runAll(template, 500);
  assert.equal(
    batches.reduce((sum, size) => sum + size, 0),
    3000,
  );
  assert.deepEqual(await db.query({ text: "select id from tasker.tasks where state <> 'complete'" }), []);
  await checkInvariants(db);
});

test("a task of ten thousand steps, one of which waits for five thousand, runs to its end", async () => {
  const roots = names("root", 5000);
  const leaves = names("leaf", 4999);
  const entries: [string, string[]][] = [
    ...roots.map((root): [string, string[]] => [root, []]),
    ["join", roots],
    ...leaves.map((leaf): [string, string[]] => [leaf, ["join"]]),
  ];
  const graph: Graph = Object.fromEntries(entries);
  const template = await register(db, graph, { version: "2.0.0" });
  const task = await createTask(db, template);
  const batches: number[] = [];
  for (let ran = 0; ran < 5000; ran += 500) {
    const claims = await claim(db, template, { limit: 500 });
    batches.push(claims.length);
    assert.ok(claims.every(({ results }) => results === null || Object.keys(results).length === 0));
    await settle(db, ...claims.map((held) => success(held, held.namedStepId)));
  }
  assert.deepEqual(
    batches,
    batches.map(() => 500),
  );
  const [join, ...others] = await claim(db, template, { limit: 500 });
  assert.equal(others.length, 0, "nothing else waits for as little as the join");
  assert.equal(Object.keys(join?.results ?? {}).length, 5000);
  if (join !== undefined) await settle(db, success(join, null));
  const left = await runAll(template, 500);
  assert.equal(
    left.reduce((sum, size) => sum + size, 0),
    4999,
  );
  const { state, steps } = await onlyRow<{ state: string; steps: number }>(
    db,
    `select state, (select count(*) from tasker.workflow_steps where task_id = t.id and state = 'complete') as steps
      from tasker.tasks t where id = $1`,
    [task],
  );
  assert.deepEqual({ state, steps }, { state: "complete", steps: 10_000 });
});
