import type { CopyTarget } from "../postgres/bulk-load.ts";
import type { Sql } from "../postgres/sql.ts";
import { dayUs } from "./calendar.ts";
import { dayRange, partitionName } from "./partitions.ts";
import { stepFacts } from "./tables.ts";

/**
 * Tables of the days' step facts, which become partitions when they are full: rows that find their table without being routed,
 * and whose indexes are made afterwards, cost the server less than half.
 */
export class DayTables {
  readonly #targets: ReadonlyMap<number, CopyTarget>;

  private constructor(targets: ReadonlyMap<number, CopyTarget>) {
    this.#targets = targets;
  }

  /** Makes a table for each day that has neither a partition nor rows in the default partition. Times are microseconds since 1970. */
  static async create(sql: Sql, fromUs: number, toUs: number): Promise<DayTables> {
    // What makes and drops partitions waits here, and not later for one lock while it holds another.
    await sql.query({ text: `lock table only ${stepFacts.table} in share update exclusive mode` });
    const targets = new Map<number, CopyTarget>();
    for (let us = fromUs - (fromUs % dayUs); us <= toUs; us += dayUs) {
      const table = partitionName(stepFacts, us);
      const [from, to] = dayRange(us);
      const [found] = await sql.query<{ taken: boolean }>({
        text: `select to_regclass($1) is not null
          or exists (select from ${stepFacts.table}_default where ended_at >= $2 and ended_at < $3) as taken`,
        values: [table, from, to],
      });
      if (found?.taken !== false) continue;
      await sql.query({
        text: `create table ${table} (like ${stepFacts.table} including defaults including constraints)`,
      });
      targets.set(us, { table, columns: stepFacts.columns });
    }
    return new DayTables(targets);
  }

  /** Where the step facts of a day belong that begins at `dayStartUs`. */
  targetOf(dayStartUs: number): CopyTarget {
    return this.#targets.get(dayStartUs) ?? stepFacts;
  }

  /** Makes their indexes, which are those of all days: they are full. */
  async finish(sql: Sql): Promise<void> {
    const indexes = await sql.query<{ text: string }>({
      text: `select substring(pg_get_indexdef(indexrelid) from ' (USING .*)$') as text from pg_index where indrelid = $1::regclass`,
      values: [stepFacts.table],
    });
    for (const [us, { table }] of this.#targets) {
      const [from, to] = dayRange(us);
      for (const { text } of indexes) await sql.query({ text: `create index on ${table} ${text}` });
      // Attaching believes it, instead of reading the rows while others wait.
      await sql.query({
        text: `alter table ${table} add constraint is_of_day check (ended_at >= '${from}' and ended_at < '${to}')`,
      });
    }
  }

  /** Makes them partitions. From here to the end of the transaction whoever reads facts waits. */
  async attach(sql: Sql): Promise<void> {
    for (const [us, { table }] of this.#targets) {
      const [from, to] = dayRange(us);
      await sql.query({
        text: `alter table ${stepFacts.table} attach partition ${table} for values from ('${from}') to ('${to}')`,
      });
      await sql.query({ text: `alter table ${table} drop constraint is_of_day` });
    }
  }
}
