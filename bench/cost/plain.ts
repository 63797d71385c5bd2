import type { Sql } from "../../src/postgres/sql.ts";

/** What is cut out of a function's text: from `from` on to the first `to`, which stays. */
interface Cut {
  readonly from: string;
  readonly to: string;
  readonly instead: string;
}

const readsTick = "pg_current_xact_id()::text::bigint + (select generation::bigint << 48 from tasker.tick_generation)";

/** What of each function is there for the analytics alone. Without them the end of a life is a transition as every other. */
const cuts: Readonly<Record<string, readonly Cut[]>> = {
  log_step_changes: [{ from: "perform tasker.log_step_ends", to: "end $", instead: "" }],
  log_step_ends: [
    {
      from: "insert into tasker.step_facts",
      to: "\n    from unnest",
      instead:
        "insert into tasker.workflow_step_transitions (step_id, from_state, to_state, life, attempt, actor, reason, recorded_at)" +
        " select s.id, from_state, state, life, attempt, p_actor, null, finished_at",
    },
    { from: "cross join lateral", to: "where finished_at", instead: "" },
  ],
  log_step_moves: [{ from: ",\n  counted as (", to: "\n  select count(*)", instead: "" }],
  log_task_changes: [{ from: "perform tasker.log_task_ends", to: "end $", instead: "" }],
  log_task_ends: [
    {
      from: "insert into tasker.task_facts",
      to: "\n    from unnest",
      instead:
        "insert into tasker.task_transitions (task_id, from_state, to_state, life, actor, reason, recorded_at)" +
        " select t.id, from_state, state, life, p_actor, null, ended_at",
    },
  ],
  log_task_moves: [{ from: ",\n  counted as (", to: "\n  select count(*)", instead: "" }],
  settle_steps: [{ from: readsTick, to: "\n", instead: "null" }],
  create_tasks: [
    { from: "v_tick := tasker.tick();", to: "\n", instead: "" },
    { from: "insert into tasker.state_deltas", to: "return query\n    select i.ord", instead: "" },
  ],
};

/** The tables that only the analytics read. */
const analyticsOnly = /step_facts|task_facts|state_deltas|tasker\.tick/u;

/**
 * Takes the facts and the deltas out of the engine's functions in a database: what the product would be without analytics.
 *
 * @throws when a function is not as expected, or one that writes for the analytics is left
 */
export async function removeAnalytics(sql: Sql): Promise<void> {
  for (const [name, parts] of Object.entries(cuts)) {
    const definition = parts.reduce((text, cut) => cutOut(name, text, cut), await definitionOf(sql, name));
    if (analyticsOnly.test(definition)) throw new Error(`tasker.${name} still writes for the analytics`);
    await sql.query({ text: definition });
  }
  const left = await sql.query<{ name: string }>({
    text: "select proname as name from pg_proc where pronamespace = 'tasker'::regnamespace and prosrc ~ 'insert into tasker.(step_facts|task_facts|state_deltas)'",
  });
  if (left.length > 0) throw new Error(`these write for the analytics: ${left.map(({ name }) => name).join(", ")}`);
}

async function definitionOf(sql: Sql, name: string): Promise<string> {
  const [row] = await sql.query<{ definition: string }>({
    text: "select pg_get_functiondef(oid) as definition from pg_proc where pronamespace = 'tasker'::regnamespace and proname = $1",
    values: [name],
  });
  if (row === undefined) throw new Error(`there is no function tasker.${name}`);
  return row.definition;
}

function cutOut(name: string, text: string, { from, to, instead }: Cut): string {
  const start = text.indexOf(from);
  const end = text.indexOf(to, start + from.length);
  if (start < 0 || end < 0) throw new Error(`tasker.${name} has nothing from ${from} to ${to}`);
  return text.slice(0, start) + instead + text.slice(end);
}
