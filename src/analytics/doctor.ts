import { createHash } from "node:crypto";

import type { Database, Sql, Timestamp } from "../postgres/sql.ts";

/** What to look at. */
export interface Examination {
  /** The window that is recounted begins at a random minute of the last so many hours. */
  readonly hours: number;
  /** Chooses that minute: the same seed, the same choice. */
  readonly seed: number;
  /** Older facts may be gone, and are not recounted. */
  readonly factsRetentionDays: number;
}

/** A number that the analytics have and a recount does not find. */
export interface Difference {
  /** Null, as the two that follow, for a figure of all templates together. */
  readonly namespace_name: string | null;
  readonly task_name: string | null;
  readonly version: string | null;
  /** Null for a figure of the template's tasks, and for counts by state. */
  readonly step_name: string | null;
  readonly field: string;
  readonly analytics: number | string | null;
  readonly recounted: number | string | null;
}

export interface Diagnosis {
  readonly window_start: Timestamp;
  readonly window_end: Timestamp;
  /** Facts of the window, tasks and steps that were counted one by one. */
  readonly facts: number;
  readonly tasks: number;
  readonly steps: number;
  /** By identity and field, those of all together last; empty when all is well. */
  readonly differences: readonly Difference[];
}

/**
 * Compares what the analytics answer with a recount, in one snapshot: the figures and histograms of a random window with its
 * facts, the quarter days since with their hours, the counts by state with the rows. Where facts may be gone it compares sums with their parts: all time with the days, a
 * day with its hours for critical paths, the all-time histograms of everything with those of the identities. Reads every task and
 * step, every fact of the window, and the days' rollups.
 *
 * Of states that do not change any more the analytics may count more than there are rows: old rows may be deleted.
 */
export async function examineAnalytics(database: Database, examination: Examination): Promise<Diagnosis> {
  return database.transaction(
    async (sql) => {
      const { window_start: from, window_end: now } = await chooseWindow(sql, examination);
      const [size] = await sql.query<{ facts: number; tasks: number; steps: number }>({
        text: `select (select count(*) from tasker.ended where ended_at >= $1) as facts,
          (select count(*) from tasker.tasks) as tasks, (select count(*) from tasker.workflow_steps) as steps`,
        values: [from],
      });
      if (size === undefined) throw new Error("the database counted nothing");
      const differences = [
        ...(await sql.query<Difference>({ text: wrongFigures, values: [from, now] })),
        ...(await sql.query<Difference>({ text: wrongHistograms, values: [from, now] })),
        ...(await differingCounts(sql)),
        ...(await sql.query<Difference>({ text: wrongQuarterDays, values: [from] })),
        ...(await sql.query<Difference>({ text: wrongAllTime })),
        ...(await sql.query<Difference>({ text: wrongAllTimeHistograms })),
        ...(await sql.query<Difference>({ text: wrongPathSums })),
        ...(await sql.query<Difference>({ text: wrongOverall, values: [from, now] })),
        ...(await sql.query<Difference>({ text: wrongOverallOfAllTime })),
      ];
      return { window_start: from, window_end: now, ...size, differences };
    },
    { isolation: "repeatable read", readOnly: true },
  );
}

/** The part of the examination that needs no facts: the counts by state against the rows. Reads every task and step. */
export function differingCounts(sql: Sql): Promise<Difference[]> {
  return sql.query<Difference>({ text: wrongCounts });
}

async function chooseWindow(
  sql: Sql,
  { hours, seed, factsRetentionDays }: Examination,
): Promise<Pick<Diagnosis, "window_start" | "window_end">> {
  const minutes = 1 + (createHash("sha256").update(String(seed)).digest().readUInt32BE() % (hours * 60));
  const [window] = await sql.query<{ window_start: Timestamp; window_end: Timestamp }>({
    text: `select greatest(date_trunc('minute', at - $1 * interval '1 minute', 'UTC'),
          date_trunc('day', at, 'UTC') - $2 * interval '24 hours') as window_start, at as window_end
        from (select tasker.clock() as at) c`,
    values: [minutes, factsRetentionDays],
  });
  if (window === undefined) throw new Error("the database told no time");
  return window;
}

const identity = "i.namespace_name, i.task_name, i.version, i.step_name";

/** Of the facts that count as executions only, as the definitions say. */
const sums: Readonly<Record<string, string>> = {
  completed: "completed",
  failed: "failed",
  cancelled: "cancelled",
  resolved: "resolved",
  skipped: "skipped",
  blocked: "blocked",
  reopened: "reopened * (completed + failed)",
  attempts: "attempts * (completed + failed)",
  failed_attempts: "failed_attempts * (completed + failed)",
  duration_us: "duration_us * completed",
  failed_duration_us: "duration_us * failed",
  dependency_wait_us: "dependency_wait_us * completed",
  queue_wait_us: "queue_wait_us * completed",
  retry_us: "retry_us * completed",
  step_count: "step_count * (completed + failed)",
  failed_step_count: "failed_step_count * (completed + failed)",
};

const fields = [...Object.keys(sums), "max_duration_us"];

/** A row per figure that differs between `f`, the analytics, and `r`, the recount. */
const figurePairs = (prefix: string): string => `cross join lateral (values
      ${fields.map((field) => `('${prefix}${field}', to_jsonb(coalesce(f.${field}, 0)), to_jsonb(coalesce(r.${field}, 0)))`).join(",\n      ")},
      ('${prefix}last_ended_at', to_jsonb(tasker.rfc3339(f.last_ended_at)), to_jsonb(tasker.rfc3339(r.last_ended_at)))
    ) d(field, analytics, recounted)
    where d.analytics is distinct from d.recounted
    order by ${identity}, d.field`;

const wrongFigures = `
  with recounted as (
    select identity_id, ${Object.entries(sums)
      .map(([field, expression]) => `sum(${expression})::bigint as ${field}`)
      .join(", ")}, max(duration_us * completed)::bigint as max_duration_us,
        max(ended_at) filter (where completed + failed = 1) as last_ended_at
      from tasker.ended where ended_at >= $1 group by identity_id)
  select ${identity}, d.field, d.analytics, d.recounted
    from tasker.window_figures($1, $2, null) f full join recounted r on r.identity_id = f.identity_id
    join tasker.analytics_identities i on i.id = coalesce(f.identity_id, r.identity_id)
    ${figurePairs("")}`;

const sumsOfRollups = Object.keys(sums)
  .map((field) => `sum(${field})::bigint as ${field}`)
  .concat("max(max_duration_us) as max_duration_us", "max(last_ended_at) as last_ended_at")
  .join(", ");

/** Hours that a window does not read, because it reads their quarter of a day. */
const wrongQuarterDays = `
  with hours as (
    select identity_id, ${sumsOfRollups} from tasker.rollups
      where grain = 'h' and bucket_start >= tasker.quarter_day_of($1) group by identity_id),
  quarters as (
    select identity_id, ${sumsOfRollups} from tasker.rollups
      where grain = 'q' and bucket_start >= tasker.quarter_day_of($1) group by identity_id)
  select ${identity}, d.field, d.analytics, d.recounted
    from quarters f full join hours r on r.identity_id = f.identity_id
    join tasker.analytics_identities i on i.id = coalesce(f.identity_id, r.identity_id)
    ${figurePairs("quarter-day ")}`;

/** Days are never dropped, so they add up to all time. */
const wrongAllTime = `
  with days as (
    select identity_id, ${sumsOfRollups}
      from tasker.rollups where grain = 'd' group by identity_id)
  select ${identity}, d.field, d.analytics, d.recounted
    from (select * from tasker.rollups where grain = 'a') f full join days r on r.identity_id = f.identity_id
    join tasker.analytics_identities i on i.id = coalesce(f.identity_id, r.identity_id)
    ${figurePairs("all-time ")}`;

const wrongAllTimeHistograms = `
  with buckets as (
    select identity_id, key, coalesce(sum(n) filter (where grain = 'a'), 0)::bigint as analytics,
        coalesce(sum(n) filter (where grain = 'd'), 0)::bigint as recounted
      from (select identity_id, grain, unnest(keys) as key, unnest(counts) as n from tasker.rollup_histograms where grain in ('a', 'd')) x
      group by 1, 2)
  select ${identity}, 'all-time histogram bucket ' || key as field, b.analytics, b.recounted
    from buckets b join tasker.analytics_identities i on i.id = b.identity_id
    where b.analytics <> b.recounted
    order by ${identity}, key`;

const wrongHistograms = `
  with recounted as (
    select identity_id, tasker.bucket_key(duration_us) as key, count(*) as n
      from tasker.ended where ended_at >= $1 and completed = 1 group by 1, 2)
  select ${identity}, 'histogram bucket ' || key as field, coalesce(h.n, 0) as analytics, coalesce(r.n, 0) as recounted
    from tasker.window_histograms($1, $2, null) h full join recounted r using (identity_id, key)
    join tasker.analytics_identities i on i.id = identity_id
    where coalesce(h.n, 0) <> coalesce(r.n, 0)
    order by ${identity}, key`;

const wrongCounts = `
  with recounted as (
    select named_task_id as identity_id, 'task' as subject, state::text, count(*) as n from tasker.tasks group by 1, 3
    union all
    select named_task_id, 'step', state::text, count(*) from tasker.workflow_steps group by 1, 3)
  select ${identity}, subject || 's ' || state as field, coalesce(c.count, 0) as analytics, coalesce(r.n, 0) as recounted
    from tasker.current_counts(null) c full join recounted r using (identity_id, subject, state)
    join tasker.analytics_identities i on i.id = identity_id
    where case when state in ('pending', 'enqueued', 'in_progress', 'waiting_for_retry') then coalesce(c.count, 0) <> coalesce(r.n, 0)
      else coalesce(c.count, 0) < coalesce(r.n, 0) end
    order by ${identity}, field`;

/** Critical paths cannot be traced again from rows that were deleted or have another life by now. */
const wrongPathSums = `
  with sums as (
    select identity_id, '-infinity'::timestamptz as bucket, 'critical path of all time, us' as field,
        coalesce(sum(owned_us) filter (where grain = 'a'), 0) as analytics, coalesce(sum(owned_us) filter (where grain = 'd'), 0) as recounted
      from tasker.critical_paths where grain in ('a', 'd') group by 1
    union all
    select identity_id, date_trunc('day', bucket_start, 'UTC'),
        'critical path of ' || to_char(date_trunc('day', bucket_start, 'UTC') at time zone 'UTC', 'YYYY-MM-DD') || ', us',
        coalesce(sum(owned_us) filter (where grain = 'd'), 0), coalesce(sum(owned_us) filter (where grain = 'h'), 0)
      from tasker.critical_paths where grain in ('d', 'h') group by 1, 2, 3)
  select ${identity}, s.field, s.analytics::bigint as analytics, s.recounted::bigint as recounted
    from sums s join tasker.analytics_identities i on i.id = s.identity_id
    where s.analytics <> s.recounted
    order by ${identity}, s.bucket`;

const nobody = "null::text as namespace_name, null::text as task_name, null::text as version, null::text as step_name";
const allOf = "case when is_task then 'all tasks' else 'all steps' end";

const wrongOverall = `
  with recounted as (
    select is_task, tasker.bucket_key(duration_us) as key, count(*) as n
      from tasker.ended where ended_at >= $1 and completed = 1 group by 1, 2)
  select ${nobody}, 'histogram bucket ' || key || ' of ' || ${allOf} as field, coalesce(h.n, 0) as analytics, coalesce(r.n, 0) as recounted
    from tasker.overall_window_histograms($1, $2) h full join recounted r using (is_task, key)
    where coalesce(h.n, 0) <> coalesce(r.n, 0)
    order by is_task, key`;

const wrongOverallOfAllTime = `
  with overall as (
    select is_task, unnest(keys) as key, unnest(counts) as n from tasker.overall_histograms where grain = 'a'),
  summed as (
    select is_task, key, sum(n)::bigint as n from (
      select i.step_name is null as is_task, unnest(h.keys) as key, unnest(h.counts) as n
        from tasker.rollup_histograms h join tasker.analytics_identities i on i.id = h.identity_id where h.grain = 'a') x
      group by 1, 2)
  select ${nobody}, 'all-time histogram bucket ' || key || ' of ' || ${allOf} as field, coalesce(o.n, 0) as analytics,
      coalesce(s.n, 0) as recounted
    from overall o full join summed s using (is_task, key)
    where coalesce(o.n, 0) <> coalesce(s.n, 0)
    order by is_task, key`;
