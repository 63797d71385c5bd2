import type { CopyTarget } from "../postgres/bulk-load.ts";
import type { Database } from "../postgres/sql.ts";
import { dayUs } from "./calendar.ts";
import { stateDeltas, taskFacts } from "./tables.ts";

/**
 * Makes the daily partitions of task facts and deltas from one time to another, in one transaction. A day whose rows already lie
 * in the default partition keeps them there, and its new ones join them.
 */
export async function makePartitions(database: Database, fromUs: number, toUs: number): Promise<void> {
  await database.transaction(async (sql) => {
    // The same lock as tasker.ensure_partitions.
    await sql.query({ text: "select pg_advisory_xact_lock(hashtext('tasker.ensure_partitions'))" });
    for (const target of [taskFacts, stateDeltas]) {
      for (let us = fromUs - (fromUs % dayUs); us <= toUs; us += dayUs) {
        const name = partitionName(target, us);
        const [from, to] = dayRange(us);
        await sql.query({
          text: `do $$ begin
            if to_regclass('${name}') is null then
              create table ${name} partition of ${target.table} for values from ('${from}') to ('${to}');
            end if;
          exception when check_violation then
            raise warning 'rows of % already lie in ${target.table}_default', '${from}';
          end $$`,
        });
      }
    }
  });
}

/** As tasker.ensure_partitions names it: `tasker.step_facts_20261122`. */
export function partitionName({ table }: CopyTarget, us: number): string {
  return `${table}_${isoDay(us).replaceAll("-", "")}`;
}

/** Where the UTC day of a time begins, and the next one: `2026-11-22 00:00:00+00`. */
export function dayRange(us: number): readonly [from: string, to: string] {
  return [`${isoDay(us)} 00:00:00+00`, `${isoDay(us + dayUs)} 00:00:00+00`];
}

function isoDay(us: number): string {
  return new Date(us / 1000).toISOString().slice(0, 10);
}
