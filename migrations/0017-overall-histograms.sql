-- Answers that cost little more for a longer history: one histogram of all steps, and one of all tasks, for each bucket of time,
-- and every figure of an answer read once.

-- is_task tells apart what the folder sums up for all steps and for all tasks.
create or replace view tasker.ended as
  select identity_id, ended_at, tick, task_id,
      (outcome = 'complete')::integer as completed, (outcome = 'error')::integer as failed,
      (outcome = 'cancelled')::integer as cancelled, (outcome = 'resolved_manually')::integer as resolved,
      (outcome = 'skipped')::integer as skipped, (outcome = 'blocked')::integer as blocked,
      reopened::integer as reopened, attempts, failed_attempts, run_us as duration_us,
      dependency_wait_us, queue_wait_us, retry_us, 0 as step_count, 0 as failed_step_count,
      from_state::text as from_state, outcome::text as outcome, false as is_task
    from tasker.step_facts
  union all
  select identity_id, ended_at, tick, task_id,
      (outcome = 'complete')::integer, (outcome = 'error')::integer,
      (outcome = 'cancelled')::integer, (outcome = 'resolved_manually')::integer, 0, 0,
      reopened::integer, 0, 0, duration_us, 0, 0, 0, step_count, failed_step_count, from_state::text, outcome::text, true
    from tasker.task_facts;

-- As tasker.rollup_histograms, of all steps together and of all tasks together.
create table tasker.overall_histograms (
  grain "char" not null,
  bucket_start timestamptz not null,
  is_task boolean not null,
  keys integer[] not null,
  counts bigint[] not null,
  primary key (grain, bucket_start, is_task),
  constraint overall_counts_belong_to_keys check (cardinality(keys) = cardinality(counts))
) with (fillfactor = 70);

-- Makes them anew from the histograms of the identities, when those were not made by folding. Nothing is folded meanwhile: a
-- process of an older version that does has ended its fold before, or goes on with the one below.
create function tasker.rebuild_overall_histograms() returns void language plpgsql set jit = off set timezone = 'UTC' as $$
begin
  perform from tasker.fold_state for update;
  delete from tasker.overall_histograms;
  with hours as materialized (
    select bucket_start, is_task, key, sum(n) as n from (
        select h.bucket_start, i.step_name is null as is_task, unnest(h.keys) as key, unnest(h.counts) as n
          from tasker.rollup_histograms h join tasker.analytics_identities i on i.id = h.identity_id where h.grain = 'h') u
      group by 1, 2, 3),
  grains as (
    select g.grain, g.bucket, h.is_task, h.key, sum(h.n)::bigint as n
      from hours h cross join lateral (values ('h'::"char", h.bucket_start), ('d'::"char", date_trunc('day', h.bucket_start, 'UTC')),
        ('a'::"char", '-infinity'::timestamptz)) g(grain, bucket)
      group by 1, 2, 3, 4)
  insert into tasker.overall_histograms (grain, bucket_start, is_task, keys, counts)
    select grain, bucket, is_task, array_agg(key order by key), array_agg(n order by key) from grains group by 1, 2, 3;
end $$;

select tasker.rebuild_overall_histograms();

-- Sums up facts and deltas with ticks in p_ended, or from p_from to below p_to and not in p_running. The caller holds the row of
-- fold_state. Returns how many there were. As the engine's functions it forbids the plans that suit empty tables.
create or replace function tasker.fold_ticks(p_ended bigint[], p_from bigint, p_to bigint, p_running bigint[]) returns bigint
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
declare
  v_folded bigint;
begin
  with fresh as materialized (
    select *, date_trunc('hour', ended_at, 'UTC') as hour from (
      select * from tasker.ended where tick = any (p_ended)
      union all
      select * from tasker.ended where tick >= p_from and tick < p_to and tick <> all (p_running)) e),
  by_hour as (
    select identity_id, hour, sum(completed) as completed, sum(failed) as failed, sum(cancelled) as cancelled,
        sum(resolved) as resolved, sum(skipped) as skipped, sum(blocked) as blocked,
        sum(reopened * (completed + failed)) as reopened, sum(attempts * (completed + failed)) as attempts,
        sum(failed_attempts * (completed + failed)) as failed_attempts,
        sum(duration_us * completed) as duration_us, max(duration_us * completed) as max_duration_us,
        sum(duration_us * failed) as failed_duration_us, sum(dependency_wait_us * completed) as dependency_wait_us,
        sum(queue_wait_us * completed) as queue_wait_us, sum(retry_us * completed) as retry_us,
        sum(step_count * (completed + failed)) as step_count, sum(failed_step_count * (completed + failed)) as failed_step_count,
        max(ended_at) filter (where completed + failed = 1) as last_ended_at
      from fresh group by identity_id, hour),
  grains as (
    select g.grain, g.bucket, b.* from by_hour b cross join lateral (values
      ('h'::"char", b.hour), ('d'::"char", date_trunc('day', b.hour, 'UTC')), ('a'::"char", '-infinity'::timestamptz)) g(grain, bucket)),
  scalars as (
    insert into tasker.rollups as r (grain, bucket_start, identity_id, completed, failed, cancelled, resolved, skipped, blocked,
      reopened, attempts, failed_attempts, duration_us, max_duration_us, failed_duration_us, dependency_wait_us, queue_wait_us,
      retry_us, step_count, failed_step_count, last_ended_at)
    select grain, bucket, identity_id, sum(completed), sum(failed), sum(cancelled), sum(resolved), sum(skipped), sum(blocked),
        sum(reopened), sum(attempts), sum(failed_attempts), sum(duration_us), max(max_duration_us), sum(failed_duration_us),
        sum(dependency_wait_us), sum(queue_wait_us), sum(retry_us), sum(step_count), sum(failed_step_count), max(last_ended_at)
      from grains group by grain, bucket, identity_id
    on conflict (grain, bucket_start, identity_id) do update set completed = r.completed + excluded.completed,
      failed = r.failed + excluded.failed, cancelled = r.cancelled + excluded.cancelled, resolved = r.resolved + excluded.resolved,
      skipped = r.skipped + excluded.skipped, blocked = r.blocked + excluded.blocked, reopened = r.reopened + excluded.reopened,
      attempts = r.attempts + excluded.attempts, failed_attempts = r.failed_attempts + excluded.failed_attempts,
      duration_us = r.duration_us + excluded.duration_us, max_duration_us = greatest(r.max_duration_us, excluded.max_duration_us),
      failed_duration_us = r.failed_duration_us + excluded.failed_duration_us,
      dependency_wait_us = r.dependency_wait_us + excluded.dependency_wait_us,
      queue_wait_us = r.queue_wait_us + excluded.queue_wait_us, retry_us = r.retry_us + excluded.retry_us,
      step_count = r.step_count + excluded.step_count, failed_step_count = r.failed_step_count + excluded.failed_step_count,
      last_ended_at = greatest(r.last_ended_at, excluded.last_ended_at)),
  buckets as (
    select g.grain, g.bucket, identity_id, key, sum(n) as n
      from (select identity_id, hour, tasker.bucket_key(duration_us) as key, count(*) as n from fresh where completed = 1
        group by 1, 2, 3) h
      cross join lateral (values ('h'::"char", h.hour), ('d'::"char", date_trunc('day', h.hour, 'UTC')),
        ('a'::"char", '-infinity'::timestamptz)) g(grain, bucket)
      group by 1, 2, 3, 4),
  merged as (
    select grain, bucket, identity_id, key, sum(n)::bigint as n from (
      select * from buckets
      union all
      select h.grain, h.bucket_start, h.identity_id, u.key, u.n
        from (select distinct grain, bucket, identity_id from buckets) b
        join tasker.rollup_histograms h on h.grain = b.grain and h.bucket_start = b.bucket and h.identity_id = b.identity_id
        cross join lateral unnest(h.keys, h.counts) u(key, n)) x
      group by 1, 2, 3, 4),
  histograms as (
    insert into tasker.rollup_histograms (grain, bucket_start, identity_id, keys, counts)
    select grain, bucket, identity_id, array_agg(key order by key), array_agg(n order by key) from merged group by 1, 2, 3
    on conflict (grain, bucket_start, identity_id) do update set keys = excluded.keys, counts = excluded.counts),
  overall_buckets as (
    select g.grain, g.bucket, is_task, key, sum(n) as n
      from (select is_task, hour, tasker.bucket_key(duration_us) as key, count(*) as n from fresh where completed = 1
        group by 1, 2, 3) h
      cross join lateral (values ('h'::"char", h.hour), ('d'::"char", date_trunc('day', h.hour, 'UTC')),
        ('a'::"char", '-infinity'::timestamptz)) g(grain, bucket)
      group by 1, 2, 3, 4),
  overall_merged as (
    select grain, bucket, is_task, key, sum(n)::bigint as n from (
      select * from overall_buckets
      union all
      select h.grain, h.bucket_start, h.is_task, u.key, u.n
        from (select distinct grain, bucket, is_task from overall_buckets) b
        join tasker.overall_histograms h on h.grain = b.grain and h.bucket_start = b.bucket and h.is_task = b.is_task
        cross join lateral unnest(h.keys, h.counts) u(key, n)) x
      group by 1, 2, 3, 4),
  overall as (
    insert into tasker.overall_histograms (grain, bucket_start, is_task, keys, counts)
    select grain, bucket, is_task, array_agg(key order by key), array_agg(n order by key) from overall_merged group by 1, 2, 3
    on conflict (grain, bucket_start, is_task) do update set keys = excluded.keys, counts = excluded.counts),
  changes as (
    select identity_id, subject, state, sum(delta) as delta, min(recorded_at) as first_at, sum(n) as n
      from (
        select identity_id, subject, state, delta, recorded_at, 1 as n from tasker.state_deltas where tick = any (p_ended)
        union all
        select identity_id, subject, state, delta, recorded_at, 1 from tasker.state_deltas
          where tick >= p_from and tick < p_to and tick <> all (p_running)
        union all
        select c.identity_id, c.subject, c.state, c.delta, e.first_at, 0
          from (select identity_id, from_state, outcome, count(*) as n, min(ended_at) as first_at
            from fresh where from_state is not null group by 1, 2, 3) e
          cross join lateral tasker.changes_of_ends(e.identity_id, e.from_state, e.outcome, e.n) c) d
      group by 1, 2, 3),
  counts as (
    insert into tasker.state_counts as c (identity_id, subject, state, count, first_at)
    select identity_id, subject, state, delta, first_at from changes
    on conflict (identity_id, subject, state) do update set count = c.count + excluded.count,
      first_at = least(c.first_at, excluded.first_at))
  select (select count(*) from fresh) + (select coalesce(sum(n), 0) from changes) into v_folded;

  return v_folded;
end $$;

-- The facts that no whole bucket answers for: folded ones before the first whole hour, and all that are not folded.
-- The sum keeps the planner from walking everything folded by its tick: these few are found by time.
create or replace function tasker.window_facts(p_from timestamptz, p_hours_from timestamptz, p_watermark bigint, p_open bigint[], p_ids integer[])
returns setof tasker.ended language sql stable as $$
  select * from tasker.ended e
    where e.tick >= p_watermark and (p_from is null or e.ended_at >= p_from) and (p_ids is null or e.identity_id = any (p_ids))
  union all
  select * from tasker.ended e
    where p_open <> '{}' and e.tick = any (p_open) and (p_from is null or e.ended_at >= p_from)
      and (p_ids is null or e.identity_id = any (p_ids))
  union all
  select * from tasker.ended e
    where e.tick + 0 < p_watermark and e.tick <> all (p_open) and e.ended_at >= p_from and e.ended_at < p_hours_from
      and (p_ids is null or e.identity_id = any (p_ids))
$$;

-- The histograms of the window's completed lives, one row per identity and bucket key (unsorted).
create or replace function tasker.window_histograms(p_from timestamptz, p_now timestamptz, p_ids integer[])
returns table (identity_id integer, key integer, n bigint)
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off set timezone = 'UTC' as $$
#variable_conflict use_column
declare
  v_watermark bigint;
  v_open bigint[];
  v_pieces record;
begin
  select watermark, open_ticks into strict v_watermark, v_open from tasker.fold_state;
  v_pieces := tasker.window_pieces(p_from, p_now);
  return query
    select r.identity_id, r.key, sum(r.n)::bigint from (
        -- Not by a lateral join: it costs a function scan per histogram.
        select h.identity_id, unnest(h.keys) as key, unnest(h.counts) as n from tasker.rollup_histograms h
          where (p_from is null and h.grain = 'a'
              or h.grain = 'h' and h.bucket_start >= v_pieces.hours_from and h.bucket_start < v_pieces.days_from
              or h.grain = 'd' and h.bucket_start >= v_pieces.days_from and h.bucket_start < v_pieces.days_to
              or h.grain = 'h' and h.bucket_start >= v_pieces.days_to)
            and (p_ids is null or h.identity_id = any (p_ids))
        union all
        select f.identity_id, tasker.bucket_key(f.duration_us), 1
          from tasker.window_facts(p_from, v_pieces.hours_from, v_watermark, v_open, p_ids) f where f.completed = 1) r
      group by r.identity_id, r.key;
end $$;

-- Those of all steps together and of all tasks together.
create function tasker.overall_window_histograms(p_from timestamptz, p_now timestamptz)
returns table (is_task boolean, key integer, n bigint)
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off set timezone = 'UTC' as $$
#variable_conflict use_column
declare
  v_watermark bigint;
  v_open bigint[];
  v_pieces record;
begin
  select watermark, open_ticks into strict v_watermark, v_open from tasker.fold_state;
  v_pieces := tasker.window_pieces(p_from, p_now);
  return query
    select r.is_task, r.key, sum(r.n)::bigint from (
        select h.is_task, unnest(h.keys) as key, unnest(h.counts) as n from tasker.overall_histograms h
          where p_from is null and h.grain = 'a'
              or h.grain = 'h' and h.bucket_start >= v_pieces.hours_from and h.bucket_start < v_pieces.days_from
              or h.grain = 'd' and h.bucket_start >= v_pieces.days_from and h.bucket_start < v_pieces.days_to
              or h.grain = 'h' and h.bucket_start >= v_pieces.days_to
        union all
        select f.is_task, tasker.bucket_key(f.duration_us), 1
          from tasker.window_facts(p_from, v_pieces.hours_from, v_watermark, v_open, null) f where f.completed = 1) r
      group by r.is_task, r.key;
end $$;

-- The figures of everything under a filter; unfiltered, its percentiles come from the overall histograms.
create or replace function tasker.get_analytics_metrics(p_hours integer default 24, p_namespace text default null, p_task_name text default null,
  p_version text default null, p_now timestamptz default tasker.clock(),
  out total_tasks bigint, out active_tasks bigint, out completed_tasks bigint, out failed_tasks bigint, out cancelled_tasks bigint,
  out resolved_tasks bigint, out completion_rate double precision, out error_rate double precision,
  out step_executions bigint, out failed_steps bigint, out attempt_count bigint, out failed_attempt_count bigint,
  out reopened_count bigint, out average_task_duration_seconds double precision, out max_task_duration_seconds double precision,
  out task_percentiles double precision[], out average_step_duration_seconds double precision,
  out max_step_duration_seconds double precision, out step_percentiles double precision[],
  out average_dependency_wait_seconds double precision, out average_queue_wait_seconds double precision,
  out average_retry_seconds double precision, out completed_steps bigint, out tasks_per_hour double precision,
  out steps_per_hour double precision, out period_start timestamptz, out period_end timestamptz)
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off set timezone = 'UTC' as $$
declare
  v_ids integer[] := tasker.filtered_identities(p_namespace, p_task_name, p_version);
  v_from timestamptz := tasker.window_start(p_hours, p_now);
  v_first timestamptz;
  v_hours double precision;
begin
  select coalesce(sum(count), 0), coalesce(sum(count) filter (where state in ('pending', 'in_progress')), 0), min(first_at)
    into total_tasks, active_tasks, v_first from tasker.current_counts(v_ids) where subject = 'task';
  period_start := coalesce(v_from, v_first, p_now);
  period_end := p_now;
  -- A window that reaches back before the first task is as long as there was anything to do, and at least a minute.
  v_hours := extract(epoch from greatest(p_now - greatest(period_start, coalesce(v_first, period_start)), interval '1 minute')) / 3600;

  select coalesce(sum(f.completed) filter (where t), 0), coalesce(sum(f.failed) filter (where t), 0),
      coalesce(sum(f.cancelled) filter (where t), 0), coalesce(sum(f.resolved) filter (where t), 0),
      coalesce(sum(f.completed) filter (where not t), 0), coalesce(sum(f.failed) filter (where not t), 0),
      coalesce(sum(f.attempts), 0), coalesce(sum(f.failed_attempts), 0), coalesce(sum(f.reopened) filter (where not t), 0),
      tasker.ratio(sum(f.duration_us) filter (where t), sum(f.completed) filter (where t) * 1000000),
      max(f.max_duration_us) filter (where t and f.completed > 0) / 1000000.0,
      tasker.ratio(sum(f.duration_us) filter (where not t), sum(f.completed) filter (where not t) * 1000000),
      max(f.max_duration_us) filter (where not t and f.completed > 0) / 1000000.0,
      tasker.ratio(sum(f.dependency_wait_us), sum(f.completed) filter (where not t) * 1000000),
      tasker.ratio(sum(f.queue_wait_us), sum(f.completed) filter (where not t) * 1000000),
      tasker.ratio(sum(f.retry_us), sum(f.completed) filter (where not t) * 1000000)
    into completed_tasks, failed_tasks, cancelled_tasks, resolved_tasks, completed_steps, failed_steps, attempt_count,
      failed_attempt_count, reopened_count, average_task_duration_seconds, max_task_duration_seconds,
      average_step_duration_seconds, max_step_duration_seconds, average_dependency_wait_seconds, average_queue_wait_seconds,
      average_retry_seconds
    from tasker.window_figures(v_from, p_now, v_ids) f
    join tasker.analytics_identities i on i.id = f.identity_id cross join lateral (select i.step_name is null as t) x;
  step_executions := completed_steps + failed_steps;
  completion_rate := tasker.ratio(completed_tasks, completed_tasks + failed_tasks);
  error_rate := tasker.ratio(failed_tasks, completed_tasks + failed_tasks);
  tasks_per_hour := (completed_tasks + failed_tasks + cancelled_tasks + resolved_tasks) / v_hours;
  steps_per_hour := step_executions / v_hours;

  with h as (
    select o.is_task as t, o.key, o.n from tasker.overall_window_histograms(v_from, p_now) o where v_ids is null
    union all
    select i.step_name is null, h.key, sum(h.n) from tasker.window_histograms(v_from, p_now, v_ids) h
      join tasker.analytics_identities i on i.id = h.identity_id where v_ids is not null group by 1, 2)
  select tasker.percentiles(array_agg(key) filter (where t), array_agg(n::numeric) filter (where t), (max_task_duration_seconds * 1000000)::bigint),
      tasker.percentiles(array_agg(key) filter (where not t), array_agg(n::numeric) filter (where not t), (max_step_duration_seconds * 1000000)::bigint)
    into task_percentiles, step_percentiles from h;
end $$;
