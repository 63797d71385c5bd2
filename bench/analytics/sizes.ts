import type { Sql } from "../../src/postgres/sql.ts";

export interface TableSize {
  readonly name: string;
  readonly bytes: number;
}

/** The tables of the analytics with their partitions and indexes, the largest first. */
export function tableSizes(sql: Sql): Promise<TableSize[]> {
  return sql.query<TableSize>({
    text: `select name, sum(pg_total_relation_size(part))::bigint as bytes
      from unnest(array['step_facts', 'task_facts', 'state_deltas', 'state_counts', 'rollups', 'rollup_histograms', 'overall_histograms']) name
      cross join lateral (
        select relid as part from pg_partition_tree(('tasker.' || name)::regclass)
        union select ('tasker.' || name)::regclass) parts
      group by name order by bytes desc, name`,
  });
}
