import type { Database } from "../postgres/sql.ts";
import { dayUs } from "./calendar.ts";
import { partitionedTables } from "./tables.ts";

/**
 * Makes the daily partitions of facts and deltas from one time to another, in one transaction. A day whose rows already lie in
 * the default partition keeps them there, and its new ones join them.
 */
export async function makePartitions(database: Database, fromUs: number, toUs: number): Promise<void> {
  await database.transaction(async (sql) => {
    // The same lock as tasker.ensure_partitions.
    await sql.query({ text: "select pg_advisory_xact_lock(hashtext('tasker.ensure_partitions'))" });
    for (const { table } of partitionedTables) {
      const unqualified = table.slice(table.indexOf(".") + 1);
      for (let us = fromUs - (fromUs % dayUs); us <= toUs; us += dayUs) {
        const name = `${unqualified}_${isoDay(us).replaceAll("-", "")}`;
        const values = `from ('${isoDay(us)} 00:00:00+00') to ('${isoDay(us + dayUs)} 00:00:00+00')`;
        await sql.query({
          text: `do $$ begin
            if to_regclass('tasker.${name}') is null then
              create table tasker.${name} partition of ${table} for values ${values};
            end if;
          exception when check_violation then
            raise warning 'rows of % already lie in ${table}_default', '${isoDay(us)}';
          end $$`,
        });
      }
    }
  });
}

/** The UTC day of a time, as `2026-11-22`. */
function isoDay(us: number): string {
  return new Date(us / 1000).toISOString().slice(0, 10);
}
