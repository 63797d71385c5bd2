import type { BinaryRows } from "../postgres/binary-rows.ts";
import type { BulkLoader } from "../postgres/bulk-load.ts";
import { overallColumns } from "./tables.ts";

const temporary = "seeded_overall_histograms";

/** Makes the table that the histograms of all steps and all tasks wait in: the rows of the real one may belong to others as well. */
export async function makeOverallTable(loader: BulkLoader): Promise<void> {
  await loader.query({ text: `create temporary table ${temporary} (like tasker.overall_histograms) on commit drop` });
}

/** Writes histograms where {@link makeOverallTable} said, in the order of `overallColumns`. */
export async function copyOverall(loader: BulkLoader, rows: BinaryRows): Promise<void> {
  if (rows.rows > 0) await loader.copy({ table: temporary, columns: overallColumns }, rows.take());
}

/** Adds them to what is there. Nothing is folded from here to the end of the transaction. */
export async function addOverall(loader: BulkLoader): Promise<void> {
  await loader.query({ text: "select from tasker.fold_state for update" });
  await loader.query({
    text: `with shared as (
        select s.grain, s.bucket_start, s.is_task, s.keys, s.counts, h.keys as keys_there, h.counts as counts_there
          from ${temporary} s join tasker.overall_histograms h using (grain, bucket_start, is_task)),
      merged as (
        select grain, bucket_start, is_task, key, sum(n)::bigint as n from (
          select grain, bucket_start, is_task, unnest(keys) as key, unnest(counts) as n from shared
          union all
          select grain, bucket_start, is_task, unnest(keys_there), unnest(counts_there) from shared) x
          group by 1, 2, 3, 4)
      insert into tasker.overall_histograms (grain, bucket_start, is_task, keys, counts)
        -- Most are nobody else's, and are taken as they are.
        select grain, bucket_start, is_task, keys, counts from ${temporary} s where not exists (select from tasker.overall_histograms h
          where h.grain = s.grain and h.bucket_start = s.bucket_start and h.is_task = s.is_task)
        union all
        select grain, bucket_start, is_task, array_agg(key order by key), array_agg(n order by key) from merged group by 1, 2, 3
      on conflict (grain, bucket_start, is_task) do update set keys = excluded.keys, counts = excluded.counts`,
  });
}
