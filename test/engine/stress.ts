import assert from "node:assert/strict";

import fc from "fast-check";

import type { Database } from "../../src/postgres/sql.ts";
import { checkWindow, readFacts } from "../analytics/recount.ts";
import { create, databaseTime, register } from "../support/engine.ts";
import { randomCases } from "../support/random.ts";
import { type Action, Actor, actions, finishAll, graphs } from "./histories.ts";
import { checkInvariants } from "./invariants.ts";

const emptied = [
  "tasks",
  "workflow_steps",
  "workflow_step_edges",
  "workflow_step_results",
  "workflow_step_heartbeats",
  "task_transitions",
  "workflow_step_transitions",
  "step_facts",
  "task_facts",
  "state_deltas",
  "state_counts",
  "rollups",
  "rollup_histograms",
  "overall_histograms",
].map((table) => `tasker.${table}`);

/** Four connections do random things to tasks of a random graph, all at the same time; then everything must add up. */
export async function stress(
  db: Database,
  options: { readonly cases: number; readonly length: number },
): Promise<void> {
  let graphNumber = 0;
  const history = fc.tuple(graphs, fc.integer({ min: 1, max: 6 }), fc.array(actions(options.length), fourLists));
  await fc.assert(
    fc.asyncProperty(history, async ([graph, tasks, lists]) => {
      graphNumber += 1;
      await db.query({ text: `truncate ${emptied.join(", ")}` });
      const template = await register(db, graph, { version: String(graphNumber), retry: { maxAttempts: 3 } });
      await create(
        db,
        template,
        Array.from({ length: tasks }, () => ({})),
      );
      await Promise.all(lists.map((list: readonly Action[]) => new Actor(db, template).run(list)));
      await checkInvariants(db);
      await finishAll(db, template);
      await checkInvariants(db);
      assert.deepEqual(await db.query({ text: "select id, state from tasker.tasks where ended_at is null" }), []);
      // Some of it was folded on the way.
      const now = Date.parse(await databaseTime(db)) * 1000;
      for (const hours of [0, 1]) await checkWindow(db, await readFacts(db), { hours, now, ids: null });
    }),
    { ...randomCases(options.cases), endOnFailure: true },
  );
}

const fourLists = { minLength: 4, maxLength: 4 };
