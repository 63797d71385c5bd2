import assert from "node:assert/strict";

import type { Database, Sql } from "../../src/postgres/sql.ts";
import { checkWindow, readFacts } from "../analytics/recount.ts";
import { checkInvariants } from "../engine/invariants.ts";
import { databaseTime, foldAll, onlyRow } from "../support/engine.ts";

/** Steps whose side effects are not those of their attempts: none, one without a result of its own, or one attempt that ran twice. */
const effectsWrong = `
  select s.id, s.attempt, e.effects, e.attempts, e.of_result from tasker.workflow_steps s
    cross join lateral (
      select count(*) as effects, count(distinct e.attempt) as attempts, max(e.attempt) as last,
          count(*) filter (where exists (select from tasker.workflow_step_results r
            where r.step_id = e.key and r.attempt = e.attempt and r.succeeded)) as of_result
        from effects e where e.key = s.id) e
    where e.of_result <> 1 or e.effects <> e.attempts or e.last > s.attempt`;

const strayEffects = `select e.key from effects e where not exists (select from tasker.workflow_steps s where s.id = e.key)`;

/** What must hold after all the chaos: whatever was accepted is there once, is complete, by one result; and all adds up. */
export async function checkChaos(
  db: Sql,
  accepted: ReadonlySet<string>,
  steps: number,
): Promise<{ readonly rescued: number; readonly repeatedKeys: number }> {
  await foldAll(db);
  await checkInvariants(db);
  const tasks = await db.query<{ id: string; state: string }>({ text: "select id, state from tasker.tasks" });
  assert.deepEqual(tasks.map(({ id }) => id).toSorted(), [...accepted].toSorted(), "tasks and what was accepted");
  assert.deepEqual([...new Set(tasks.map(({ state }) => state))], ["complete"]);
  const states = await db.query({ text: "select state, count(*) as n from tasker.workflow_steps group by 1" });
  assert.deepEqual(states, [{ state: "complete", n: steps }]);
  const completions = await db.query({
    text: `select step_id from tasker.workflow_step_history where to_state = 'complete' group by 1 having count(*) > 1`,
  });
  assert.deepEqual(completions, [], "steps that completed more than once");
  await db.query({ text: "create index if not exists effects_key on effects (key)" });
  assert.deepEqual(await db.query({ text: effectsWrong }), [], "side effects that are not those of the attempts");
  assert.deepEqual(await db.query({ text: strayEffects }), [], "side effects of no step");
  // A minute on: the clock was set forth meanwhile.
  const now = (Date.parse(await databaseTime(db)) + 60_000) * 1000;
  const facts = await readFacts(db);
  for (const hours of [0, 1]) await checkWindow(db, facts, { hours, now, ids: null });
  return onlyRow(
    db,
    `select (select count(*) from tasker.workflow_step_results where error ->> 'code' = 'lease_expired') as rescued,
      (select count(*) from (select from effects group by key having count(*) > 1) e) as "repeatedKeys"`,
  );
}

/** What must not pass, each undone after it was noticed. */
const harms: readonly string[] = [
  "insert into effects select * from effects limit 1",
  "delete from effects where key = (select key from effects limit 1)",
  "update tasker.workflow_step_results set succeeded = false where step_id = (select id from tasker.workflow_steps limit 1)",
  `insert into tasker.workflow_step_transitions (step_id, from_state, to_state, life, attempt, actor, reason, recorded_at)
    select step_id, from_state, to_state, life, attempt, actor, reason, recorded_at
      from tasker.workflow_step_history where to_state = 'complete' limit 1`,
  "update tasker.workflow_steps set failed_attempts = failed_attempts + 1 where id = (select id from tasker.workflow_steps limit 1)",
  "update tasker.rollups set completed = completed + 1 where grain = 'a'",
  "update tasker.state_counts set count = count + 1 where state = 'complete'",
  "delete from tasker.tasks where id = (select id from tasker.tasks limit 1)",
];

/** Does each harm in a transaction that is undone: the checks must tell of every one. */
export async function checkTheChecks(db: Database, accepted: ReadonlySet<string>, steps: number): Promise<void> {
  for (const harm of harms) {
    const checked = db.transaction(async (sql) => {
      await sql.query({ text: harm });
      await checkChaos(sql, accepted, steps);
    });
    await assert.rejects(checked, assert.AssertionError, harm);
  }
}
