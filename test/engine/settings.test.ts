import assert from "node:assert/strict";
import { after, test } from "node:test";

import { testDatabase } from "../support/database.ts";

const { db } = await testDatabase({ after });

/** They leave it to their callers to forbid the plans that suit small tables. */
const inner = [
  "log_step_ends",
  "log_step_moves",
  "log_step_changes",
  "log_task_ends",
  "log_task_moves",
  "log_task_changes",
  "release_dependants",
  "start_tasks",
  "block_steps",
];

test("whoever calls a function that has no settings of its own has them, or is one of those", async () => {
  const functions = await db.query<{ name: string; settings: string[] | null; calls: boolean }>({
    text: `select proname as name, proconfig as settings, prosrc ~ $1 as calls from pg_proc
      where pronamespace = 'tasker'::regnamespace`,
    values: [`tasker\\.(${inner.join("|")})\\(`],
  });
  const named = new Map(functions.map((one) => [one.name, one]));
  for (const name of inner) assert.equal(named.get(name)?.settings, null, name);
  const callers = functions.filter(({ name, calls }) => calls && !inner.includes(name));
  assert.ok(callers.length > 3, `${callers.length} callers`);
  for (const { name, settings } of callers) {
    for (const setting of ["plan_cache_mode=force_generic_plan", "enable_seqscan=off", "enable_hashjoin=off"]) {
      // The creation of tasks and all other transitions alike.
      assert.ok(settings?.includes(setting), `${name} does not set ${setting}`);
    }
  }
});
