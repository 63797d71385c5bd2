-- Critical paths. Of a task that ended `complete` or `error`: the chain of released_by back from the step that ended last. A step
-- on it owns the time from its predecessor's end to its own, the first one from the beginning of the task's life; so what
-- the steps of a task own sums to its life. Blocked, cancelled and skipped steps did nothing that the task waited for.

-- The time that steps own, by the end of their task. Grain 'm': minute, since no window begins within one; then as in tasker.rollups.
create table tasker.critical_paths (
  grain "char" not null constraint grain_is_minute_hour_day_or_all check (grain in ('m', 'h', 'd', 'a')),
  bucket_start timestamptz not null,
  identity_id integer not null,
  owned_us bigint not null,
  primary key (grain, bucket_start, identity_id)
) with (fillfactor = 70);

-- Which facts of tasks are traced: as in tasker.fold_state. It begins with all that are kept.
create table tasker.critical_path_state (
  only_row boolean primary key default true constraint there_is_one_critical_path_state check (only_row),
  watermark bigint not null default 0,
  open_ticks bigint[] not null default '{}');
insert into tasker.critical_path_state default values;

-- Traces the tasks whose facts have ticks in p_ended, or from p_from to below p_to and not in p_running. The caller holds the row
-- of critical_path_state. A task that is in another life by now, or deleted, is left out. Returns the number of those traced.
create function tasker.trace_ticks(p_ended bigint[], p_from bigint, p_to bigint, p_running bigint[]) returns bigint
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
declare
  v_traced bigint;
begin
  with recursive facts as (
    select task_id, ended_at, outcome from tasker.task_facts where tick = any (p_ended)
    union all
    select task_id, ended_at, outcome from tasker.task_facts where tick >= p_from and tick < p_to and tick <> all (p_running)),
  ended as materialized (
    select distinct t.id, t.ended_at, t.life_started_at
      from facts f join tasker.tasks t on t.id = f.task_id and t.ended_at = f.ended_at and t.state = f.outcome
      where f.outcome in ('complete', 'error')),
  -- Each row holds a step and its predecessor, so that every step is looked up once.
  path as (
    select e.ended_at, e.life_started_at, s.named_step_id, s.finished_at,
        before.named_step_id as before_id, before.finished_at as before_at, before.released_by
      from ended e cross join lateral (
        select * from tasker.workflow_steps w
          where w.task_id = e.id and w.state in ('complete', 'error', 'resolved_manually')
          -- Of several that ended at the same time the highest id, as in released_by.
          order by w.finished_at desc, w.id desc limit 1) s
      left join tasker.workflow_steps before on before.id = s.released_by
    union all
    select p.ended_at, p.life_started_at, p.before_id, p.before_at, before.named_step_id, before.finished_at, before.released_by
      from path p left join tasker.workflow_steps before on before.id = p.released_by
      -- What ended before this life of the task owns nothing of it.
      where p.before_at > p.life_started_at),
  owned as (
    select named_step_id, date_trunc('minute', ended_at, 'UTC') as minute,
        sum(tasker.microseconds(finished_at - greatest(before_at, life_started_at)))::bigint as us
      from path group by 1, 2),
  kept as (
    insert into tasker.critical_paths as c (grain, bucket_start, identity_id, owned_us)
    select g.grain, g.bucket, o.named_step_id, sum(o.us) from owned o cross join lateral (values ('m'::"char", o.minute),
        ('h'::"char", date_trunc('hour', o.minute, 'UTC')), ('d'::"char", date_trunc('day', o.minute, 'UTC')),
        ('a'::"char", '-infinity'::timestamptz)) g(grain, bucket)
      group by 1, 2, 3
    on conflict (grain, bucket_start, identity_id) do update set owned_us = c.owned_us + excluded.owned_us)
  select count(*) into v_traced from ended;
  return v_traced;
end $$;

-- Traces at most about p_tasks tasks (those that a single transaction ended are never split). Returns how many it traced and
-- whether more are waiting. Compare tasker.fold.
create function tasker.trace_critical_paths(p_tasks integer, out traced bigint, out more boolean) language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
declare
  v_from bigint;
  v_open bigint[];
  v_upto bigint;
  v_running bigint[];
  v_ended bigint[];
  v_first bigint;
  v_cut bigint;
begin
  select watermark, open_ticks into strict v_from, v_open from tasker.critical_path_state for update;
  select upto, open_ticks into strict v_upto, v_running from tasker.snapshot_ticks();
  v_ended := array(select t from unnest(v_open) t where t <> all (v_running));
  select min(tick), greatest(max(tick) filter (where n = p_tasks + 1), min(tick) + 1), count(*) > p_tasks into v_first, v_cut, more from (
    select tick, row_number() over (order by tick) as n from (
      (select tick from tasker.task_facts where tick = any (v_ended) order by tick limit p_tasks + 1)
      union all (select tick from tasker.task_facts where tick >= v_from and tick < v_upto and tick <> all (v_running)
        order by tick limit p_tasks + 1)) t) x;
  traced := 0;
  -- Windows longer than 48 h begin at an hour: older minutes are never asked for.
  delete from tasker.critical_paths where grain = 'm' and bucket_start < tasker.clock() - interval '3 days';
  if v_first is null then
    return;
  end if;
  if not more then
    v_cut := greatest(v_from, v_upto);
  end if;
  traced := tasker.trace_ticks(array(select t from unnest(v_ended) t where t < v_cut), v_from, v_cut, v_running);
  update tasker.critical_path_state set watermark = greatest(v_from, v_cut),
    open_ticks = array(
      select t from unnest(v_open) t where t = any (v_running) or t >= v_cut
      union all
      select t from unnest(v_running) t where t >= v_from and t < v_cut);
end $$;

-- All templates and steps of the templates that some identities belong to.
create function tasker.whole_templates(p_ids integer[]) returns integer[] language sql stable as $$
  select coalesce(array_agg(distinct o.id), '{}') from tasker.analytics_identities i
    join tasker.analytics_identities o using (namespace_name, task_name, version) where i.id = any (p_ids)
$$;

-- The share of each step in the time of its template's traced tasks that ended in the window; no row where none did. p_ids holds
-- whole templates; null: all.
create function tasker.critical_path_shares(p_from timestamptz, p_now timestamptz, p_ids integer[])
returns table (identity_id integer, share double precision)
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off set timezone = 'UTC' as $$
#variable_conflict use_column
declare
  v_pieces record;
begin
  v_pieces := tasker.window_pieces(p_from, p_now);
  return query
    with owned as (
      select c.identity_id, sum(c.owned_us) as us from tasker.critical_paths c
        where (p_from is null and c.grain = 'a'
            or c.grain = 'm' and c.bucket_start >= p_from and c.bucket_start < v_pieces.hours_from
            or c.grain = 'h' and c.bucket_start >= v_pieces.hours_from and c.bucket_start < v_pieces.days_from
            or c.grain = 'd' and c.bucket_start >= v_pieces.days_from and c.bucket_start < v_pieces.days_to
            or c.grain = 'h' and c.bucket_start >= v_pieces.days_to)
          and (p_ids is null or c.identity_id = any (p_ids))
        group by c.identity_id)
    select x.id, x.share from (
      select i.id, tasker.ratio(coalesce(o.us, 0), sum(o.us) over (partition by i.namespace_name, i.task_name, i.version)) as share
        from tasker.analytics_identities i left join owned o on o.identity_id = i.id
        where i.step_name is not null and (p_ids is null or i.id = any (p_ids))) x
      where x.share is not null;
end $$;

drop function tasker.get_slowest_steps_aggregated(integer, integer, integer, text, text, text, text, timestamptz);

-- The slowest steps by (namespace, task name, version, step name), by p_sort; ties and nulls in the order of identity.
create function tasker.get_slowest_steps_aggregated(p_limit integer default 10, p_min_executions integer default 5,
  p_hours integer default 24, p_namespace text default null, p_task_name text default null, p_version text default null,
  p_sort text default 'average_duration', p_now timestamptz default tasker.clock())
returns table (namespace_name text, task_name text, version text, step_name text,
  average_duration_seconds double precision, max_duration_seconds double precision, execution_count bigint, completed_count bigint,
  error_count bigint, error_rate double precision, last_executed_at timestamptz, average_dependency_wait_seconds double precision,
  average_queue_wait_seconds double precision, average_retry_seconds double precision, average_failed_duration_seconds double precision,
  attempt_count bigint, failed_attempt_count bigint, reopened_count bigint, cancelled_count bigint, skipped_count bigint,
  blocked_count bigint, resolved_count bigint, running_count bigint, oldest_running_seconds double precision,
  total_time_seconds double precision, share_of_template_time double precision, critical_path_share double precision,
  percentiles double precision[])
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off set timezone = 'UTC' as $$
#variable_conflict use_column
declare
  v_ids integer[] := tasker.filtered_identities(p_namespace, p_task_name, p_version);
  v_from timestamptz := tasker.window_start(p_hours, p_now);
  v_candidates integer[];
begin
  -- Percentiles are read for the winners only; a sort by percentile needs everybody's.
  select array_agg(identity_id) into v_candidates from (
    select f.identity_id from tasker.step_figures(v_from, p_now, v_ids) f
      left join tasker.critical_path_shares(v_from, p_now, v_ids) c on p_sort = 'critical_path' and c.identity_id = f.identity_id
      where f.execution_count >= p_min_executions
      order by case p_sort when 'critical_path' then c.share when 'average_duration' then average_duration_seconds
          when 'total_time' then total_time_seconds when 'queue_wait' then average_queue_wait_seconds when 'retry' then average_retry_seconds
          when 'error_rate' then error_rate end desc nulls last, namespace_name, task_name, version, step_name
      limit case when p_sort = 'p95_duration' then null else p_limit end) winners;
  return query
    with h as (
      select identity_id, array_agg(key) as keys, array_agg(n::numeric) as counts
        from tasker.window_histograms(v_from, p_now, v_candidates) group by identity_id),
    shares as materialized (
      select identity_id, share from tasker.critical_path_shares(v_from, p_now, tasker.whole_templates(v_candidates))),
    figures as (
      select f.*, c.share, tasker.percentiles(h.keys, h.counts, (f.max_duration_seconds * 1000000)::bigint) as p
        from tasker.step_figures(v_from, p_now, v_ids) f left join h on h.identity_id = f.identity_id
        left join shares c on c.identity_id = f.identity_id
        where f.identity_id = any (v_candidates))
    select namespace_name, task_name, version, step_name, average_duration_seconds, max_duration_seconds, execution_count,
        completed_count, error_count, error_rate, last_executed_at, average_dependency_wait_seconds, average_queue_wait_seconds,
        average_retry_seconds, average_failed_duration_seconds, attempt_count, failed_attempt_count, reopened_count, cancelled_count,
        skipped_count, blocked_count, resolved_count, running_count, oldest_running_seconds, total_time_seconds,
        share_of_template_time, share, p
      from figures
      order by case p_sort when 'average_duration' then average_duration_seconds when 'p95_duration' then p[2]
          when 'critical_path' then share
          when 'total_time' then total_time_seconds when 'queue_wait' then average_queue_wait_seconds
          when 'retry' then average_retry_seconds when 'error_rate' then error_rate end desc nulls last,
        namespace_name, task_name, version, step_name
      limit p_limit;
end $$;
