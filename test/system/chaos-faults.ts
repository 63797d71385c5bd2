import type { Database, Sql } from "../../src/postgres/sql.ts";
import { isTransient, sqlState, sqlStateOf } from "../../src/postgres/sqlstate.ts";
import { openTestPool } from "../support/database.ts";
import { onlyRow } from "../support/engine.ts";
import { persistently } from "./chaos-cluster.ts";

/** Transactions that write history or rollups are refused now and then: by a serialization failure or a deadlock. */
const refusals = `
  create sequence chaos_refusals;
  create function chaos_refuse() returns trigger language plpgsql as $$
  begin
    if random() < 0.02 then
      perform nextval('chaos_refusals'); -- Counts although the transaction is undone.
      raise exception 'refused by chance' using errcode = case when random() < 0.5 then '40001' else '40P01' end;
    end if;
    return null;
  end $$;`;

/** The ends of lives stand in the facts, all other changes in the logs. */
const refusing = ["workflow_step_transitions", "task_transitions", "step_facts", "task_facts", "rollups"];

/** A clock that is right but for what a test sets it off by. */
const clock = `
  create table chaos_clock (off_by interval not null);
  insert into chaos_clock values ('0');
  create or replace function tasker.clock() returns timestamptz language sql volatile
    as 'select clock_timestamp() + off_by from public.chaos_clock';`;

export async function arrangeFaults(db: Sql, isClockMoved: boolean): Promise<void> {
  await db.query({ text: refusals });
  for (const table of refusing) {
    await db.query({
      text: `create trigger chaos before insert on tasker.${table} for each statement execute function chaos_refuse()`,
    });
  }
  if (isClockMoved) await db.query({ text: clock });
}

/** Ends the refusals. */
export async function endFaults(db: Sql): Promise<void> {
  for (const table of refusing) {
    await db.query({ text: `drop trigger chaos on tasker.${table}` });
  }
}

/** How many transactions were refused by chance. A sequence may be some ahead of that after a crash, never behind. */
export async function refusalCount(db: Sql): Promise<number> {
  return (
    await onlyRow<{ n: number }>(db, "select case when is_called then last_value else 0 end as n from chaos_refusals")
  ).n;
}

/** Sets the database's clock off by so many seconds. */
export async function stepClock(db: Sql, seconds: number): Promise<void> {
  await persistently(() =>
    db.query({ text: "update chaos_clock set off_by = $1 * interval '1 second'", values: [seconds] }),
  );
}

/** Ends the sessions in which workers listen. */
export async function cutListeners(db: Sql): Promise<void> {
  await persistently(() =>
    db.query({
      text: "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'tasker listener%'",
    }),
  );
}

/** Locks steps first and their tasks afterwards, both backwards: against the order that the engine keeps. */
export async function lockInWrongOrder(db: Database): Promise<void> {
  const work = db.transaction(async (sql) => {
    const steps = await sql.query<{ task_id: string }>({
      text: `select task_id from tasker.workflow_steps where state = 'in_progress' order by id desc limit 10 for update`,
    });
    await sql.query({ text: "select pg_sleep(0.005)" });
    await sql.query({
      text: "select from tasker.tasks where id = any($1::uuid[]) order by id desc for update",
      values: [steps.map(({ task_id: id }) => id)],
    });
  });
  // It may be the one that Postgres ends, or the server may be away.
  await work.catch((error: unknown) => {
    if (!isTransient(error)) throw error;
  });
}

/** Takes every connection that the server has left, for a moment: whoever needs one now is refused. Returns how often we were. */
export async function takeAllConnections(url: string): Promise<number> {
  const many = openTestPool(url, 100);
  try {
    const all = Array.from({ length: 100 }, () => many.query({ text: "select pg_sleep(0.3)" }));
    const ends = await Promise.allSettled(all);
    return ends.filter((end) => end.status === "rejected" && sqlStateOf(end.reason) === sqlState.too_many_connections)
      .length;
  } finally {
    await many.close();
  }
}
