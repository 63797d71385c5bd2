-- Every figure of an answer is read once. The figures of the identities in a window are an array, which is ranked by steps and by
-- tasks and looked through for alerts.

-- As before, in one pass over the histogram. Keys grow with the durations they stand for.
create or replace function tasker.percentiles(p_keys integer[], p_counts numeric[], p_max_us bigint) returns double precision[]
language sql immutable as $$
  select array(select case when k is not null then least(tasker.bucket_us(k), p_max_us) / 1000000 end
      from unnest(array[p.p50, p.p95, p.p99]) with ordinality u(k, n) order by n)
    from (
      select min(key) filter (where upto >= greatest(1, ceil(0.5 * total))) as p50,
          min(key) filter (where upto >= greatest(1, ceil(0.95 * total))) as p95,
          min(key) filter (where upto >= greatest(1, ceil(0.99 * total))) as p99
        from (
          select key, sum(n) over (order by key) as upto, sum(n) over () as total
            from (select key, sum(n) as n from unnest(p_keys, p_counts) u(key, n) group by key) x) s) p
$$;

create type tasker.figures as (
  identity_id integer, completed bigint, failed bigint, cancelled bigint, resolved bigint, skipped bigint, blocked bigint,
  reopened bigint, attempts bigint, failed_attempts bigint, duration_us bigint, max_duration_us bigint, failed_duration_us bigint,
  dependency_wait_us bigint, queue_wait_us bigint, retry_us bigint, step_count bigint, failed_step_count bigint,
  last_ended_at timestamptz);

create function tasker.figures_of(p_from timestamptz, p_now timestamptz, p_ids integer[]) returns tasker.figures[]
language sql stable as $$
  select coalesce(array_agg(row(f.*)::tasker.figures), '{}') from tasker.window_figures(p_from, p_now, p_ids) f
$$;

-- The figures of each step, before ranking and without percentiles.
create function tasker.step_figures_of(p_figures tasker.figures[], p_now timestamptz)
returns table (identity_id integer, namespace_name text, task_name text, version text, step_name text,
  average_duration_seconds double precision, max_duration_seconds double precision, execution_count bigint, completed_count bigint,
  error_count bigint, error_rate double precision, last_executed_at timestamptz, average_dependency_wait_seconds double precision,
  average_queue_wait_seconds double precision, average_retry_seconds double precision, average_failed_duration_seconds double precision,
  attempt_count bigint, failed_attempt_count bigint, reopened_count bigint, cancelled_count bigint, skipped_count bigint,
  blocked_count bigint, resolved_count bigint, running_count bigint, oldest_running_seconds double precision,
  total_time_seconds double precision, share_of_template_time double precision)
language sql stable as $$
  with running as (
    select named_step_id, count(*) as n, extract(epoch from greatest(p_now - min(started_at), interval '0'))::double precision as oldest
      from tasker.workflow_steps where state = 'in_progress' group by named_step_id)
  select i.id, i.namespace_name, i.task_name, i.version, i.step_name,
      tasker.ratio(f.duration_us, f.completed * 1000000), case when f.completed > 0 then f.max_duration_us / 1000000.0 end,
      f.completed + f.failed, f.completed, f.failed, tasker.ratio(f.failed, f.completed + f.failed), f.last_ended_at,
      tasker.ratio(f.dependency_wait_us, f.completed * 1000000), tasker.ratio(f.queue_wait_us, f.completed * 1000000),
      tasker.ratio(f.retry_us, f.completed * 1000000), tasker.ratio(f.failed_duration_us, f.failed * 1000000),
      f.attempts, f.failed_attempts, f.reopened, f.cancelled, f.skipped, f.blocked, f.resolved,
      coalesce(r.n, 0), r.oldest, (f.duration_us + f.failed_duration_us) / 1000000.0,
      tasker.ratio(f.duration_us + f.failed_duration_us,
        sum(f.duration_us + f.failed_duration_us) over (partition by i.namespace_name, i.task_name, i.version))
    from unnest(p_figures) f
    join tasker.analytics_identities i on i.id = f.identity_id and i.step_name is not null
    left join running r on r.named_step_id = f.identity_id
$$;

create or replace function tasker.step_figures(p_from timestamptz, p_now timestamptz, p_ids integer[])
returns table (identity_id integer, namespace_name text, task_name text, version text, step_name text,
  average_duration_seconds double precision, max_duration_seconds double precision, execution_count bigint, completed_count bigint,
  error_count bigint, error_rate double precision, last_executed_at timestamptz, average_dependency_wait_seconds double precision,
  average_queue_wait_seconds double precision, average_retry_seconds double precision, average_failed_duration_seconds double precision,
  attempt_count bigint, failed_attempt_count bigint, reopened_count bigint, cancelled_count bigint, skipped_count bigint,
  blocked_count bigint, resolved_count bigint, running_count bigint, oldest_running_seconds double precision,
  total_time_seconds double precision, share_of_template_time double precision)
language sql stable as $$
  -- As a column, so that the planner does not compute it to estimate how long it is.
  select s.* from (select tasker.figures_of(p_from, p_now, p_ids) as of_window offset 0) f
    cross join lateral tasker.step_figures_of(f.of_window, p_now) s
$$;

-- The slowest steps of the figures of a window, as tasker.get_slowest_steps_aggregated has them.
create function tasker.slowest_steps(p_figures tasker.figures[], p_from timestamptz, p_now timestamptz, p_ids integer[],
  p_limit integer, p_min_executions integer, p_sort text)
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
begin
  -- Percentiles and shares of critical paths are read for the winners only, unless they decide who wins.
  return query
    with paths as materialized (
      select c.* from tasker.critical_path_shares(p_from, p_now, case when p_sort = 'critical_path' then p_ids else '{}' end) c),
    ranked as materialized (
      select f.* from tasker.step_figures_of(p_figures, p_now) f left join paths c on c.identity_id = f.identity_id
        where f.execution_count >= p_min_executions
        order by case p_sort when 'critical_path' then c.share when 'average_duration' then f.average_duration_seconds
            when 'total_time' then f.total_time_seconds when 'queue_wait' then f.average_queue_wait_seconds
            when 'retry' then f.average_retry_seconds when 'error_rate' then f.error_rate end desc nulls last,
          f.namespace_name, f.task_name, f.version, f.step_name
        limit case when p_sort = 'p95_duration' then null else p_limit end),
    winners as materialized (select coalesce(array_agg(identity_id), '{}') as ids from ranked),
    histograms as materialized (
      select h.identity_id, array_agg(h.key) as keys, array_agg(h.n::numeric) as counts
        from winners w cross join lateral tasker.window_histograms(p_from, p_now, w.ids) h group by h.identity_id),
    shares as materialized (
      select * from paths
      union all
      select c.* from winners w
        cross join lateral tasker.critical_path_shares(p_from, p_now, tasker.whole_templates(w.ids)) c where p_sort <> 'critical_path'),
    figures as (
      select f.*, c.share, tasker.percentiles(h.keys, h.counts, (f.max_duration_seconds * 1000000)::bigint) as p
        from ranked f left join histograms h on h.identity_id = f.identity_id left join shares c on c.identity_id = f.identity_id)
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

create or replace function tasker.get_slowest_steps_aggregated(p_limit integer default 10, p_min_executions integer default 5,
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
  v_figures tasker.figures[] := tasker.figures_of(v_from, p_now, v_ids);
begin
  return query select * from tasker.slowest_steps(v_figures, v_from, p_now, v_ids, p_limit, p_min_executions, p_sort);
end $$;

-- The slowest tasks of the figures of a window, as tasker.get_slowest_tasks_aggregated has them.
create function tasker.slowest_tasks(p_figures tasker.figures[], p_from timestamptz, p_now timestamptz,
  p_limit integer, p_min_executions integer, p_sort text)
returns table (namespace_name text, task_name text, version text, average_duration_seconds double precision,
  max_duration_seconds double precision, execution_count bigint, completed_count bigint, average_step_count double precision,
  error_count bigint, error_rate double precision, last_executed_at timestamptz, failed_step_count bigint, cancelled_count bigint,
  resolved_count bigint, total_time_seconds double precision, percentiles double precision[])
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off set timezone = 'UTC' as $$
#variable_conflict use_column
begin
  return query
    with figures as (
      select f.identity_id, i.namespace_name, i.task_name, i.version, tasker.ratio(f.duration_us, f.completed * 1000000) as average_duration,
          case when f.completed > 0 then f.max_duration_us / 1000000.0::double precision end as max_duration,
          f.completed + f.failed as executions, f.completed, tasker.ratio(f.step_count, f.completed + f.failed) as steps, f.failed,
          tasker.ratio(f.failed, f.completed + f.failed) as failures, f.last_ended_at, f.failed_step_count, f.cancelled, f.resolved,
          (f.duration_us + f.failed_duration_us) / 1000000.0::double precision as total_time, f.max_duration_us
        from unnest(p_figures) f
        join tasker.analytics_identities i on i.id = f.identity_id and i.step_name is null
        where f.completed + f.failed >= p_min_executions),
    ranked as materialized (
      select * from figures x
        order by case p_sort when 'p95_duration' then null when 'total_time' then x.total_time when 'error_rate' then x.failures
            else x.average_duration end desc nulls last, x.namespace_name, x.task_name, x.version
        limit case when p_sort = 'p95_duration' then null else p_limit end),
    histograms as materialized (
      select h.identity_id, array_agg(h.key) as keys, array_agg(h.n::numeric) as counts
        from (select coalesce(array_agg(identity_id), '{}') as ids from ranked) w
        cross join lateral tasker.window_histograms(p_from, p_now, w.ids) h group by h.identity_id)
    select x.namespace_name, x.task_name, x.version, x.average_duration, x.max_duration, x.executions, x.completed, x.steps, x.failed,
        x.failures, x.last_ended_at, x.failed_step_count, x.cancelled, x.resolved, x.total_time, p.p
      from ranked x left join histograms h on h.identity_id = x.identity_id
      cross join lateral (select tasker.percentiles(h.keys, h.counts, x.max_duration_us) as p) p
      order by case p_sort when 'p95_duration' then p.p[2] when 'total_time' then x.total_time when 'error_rate' then x.failures
          else x.average_duration end desc nulls last, x.namespace_name, x.task_name, x.version
      limit p_limit;
end $$;

create or replace function tasker.get_slowest_tasks_aggregated(p_limit integer default 10, p_min_executions integer default 5,
  p_hours integer default 24, p_namespace text default null, p_task_name text default null, p_version text default null,
  p_sort text default 'average_duration', p_now timestamptz default tasker.clock())
returns table (namespace_name text, task_name text, version text, average_duration_seconds double precision,
  max_duration_seconds double precision, execution_count bigint, completed_count bigint, average_step_count double precision,
  error_count bigint, error_rate double precision, last_executed_at timestamptz, failed_step_count bigint, cancelled_count bigint,
  resolved_count bigint, total_time_seconds double precision, percentiles double precision[])
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off set timezone = 'UTC' as $$
#variable_conflict use_column
declare
  v_ids integer[] := tasker.filtered_identities(p_namespace, p_task_name, p_version);
  v_from timestamptz := tasker.window_start(p_hours, p_now);
  v_figures tasker.figures[] := tasker.figures_of(v_from, p_now, v_ids);
begin
  return query select * from tasker.slowest_tasks(v_figures, v_from, p_now, p_limit, p_min_executions, p_sort);
end $$;

-- What completed in the seven days before p_from, which is the beginning of an hour, in UTC days where they are whole.
create function tasker.usual_totals(p_from timestamptz, p_ids integer[])
returns table (identity_id integer, completed bigint, duration_us bigint)
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off set timezone = 'UTC' as $$
#variable_conflict use_column
declare
  v_first timestamptz := p_from - interval '168 hours';
  v_days_to timestamptz := date_trunc('day', p_from, 'UTC');
  v_days_from timestamptz := date_trunc('day', v_first + interval '24 hours' - interval '1 microsecond', 'UTC');
begin
  return query
    select x.identity_id, sum(x.completed)::bigint, sum(x.duration_us)::bigint from (
        select u.identity_id, u.completed, u.duration_us from tasker.rollups u
          where (u.grain = 'h' and u.bucket_start >= v_first and u.bucket_start < v_days_from
              or u.grain = 'd' and u.bucket_start >= v_days_from and u.bucket_start < v_days_to
              or u.grain = 'h' and u.bucket_start >= v_days_to and u.bucket_start < p_from)
            and u.identity_id = any (p_ids)
        union all
        select f.identity_id, f.completed, f.duration_us from tasker.facts_outside_rollups(v_first, v_first, p_ids) f
          where f.completed = 1 and f.ended_at < p_from) x
      group by 1 having sum(x.completed) > 0;
end $$;

create or replace function tasker.get_steps_slower_than_usual(p_hours integer default 24, p_min_executions integer default 20,
  p_min_usual integer default 60, p_factor double precision default 1.5, p_seconds double precision default 0.1,
  p_limit integer default 20, p_namespace text default null, p_task_name text default null, p_version text default null,
  p_now timestamptz default tasker.clock())
returns table (namespace_name text, task_name text, version text, step_name text, recent_hours integer, completed_count bigint,
  usual_completed_count bigint, average_duration_seconds double precision, usual_average_duration_seconds double precision,
  p95_duration_seconds double precision, usual_p95_duration_seconds double precision,
  average_dependency_wait_seconds double precision, usual_average_dependency_wait_seconds double precision,
  average_queue_wait_seconds double precision, usual_average_queue_wait_seconds double precision,
  average_retry_seconds double precision, usual_average_retry_seconds double precision)
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off set timezone = 'UTC' as $$
#variable_conflict use_column
declare
  v_hours integer := case when p_hours between 1 and 24 then p_hours else 24 end;
  v_from timestamptz := date_trunc('hour', p_now, 'UTC') - (v_hours - 1) * interval '1 hour';
  v_figures tasker.figures[] := tasker.figures_of(v_from, p_now, tasker.filtered_identities(p_namespace, p_task_name, p_version));
  v_ids integer[];
begin
  -- What ran too seldom or too shortly to be slower by p_seconds needs no look at the past.
  select array_agg(f.identity_id) into v_ids from unnest(v_figures) f
    join tasker.analytics_identities i on i.id = f.identity_id and i.step_name is not null
    where f.completed >= p_min_executions and f.duration_us >= p_seconds * 1000000 * f.completed;
  if v_ids is null then
    return;
  end if;
  -- A day's hours are whole days of the past: what is not slower in all is told from few rows.
  if v_hours = 24 then
    select array_agg(r.identity_id) into v_ids from unnest(v_figures) r join tasker.usual_totals(v_from, v_ids) u on u.identity_id = r.identity_id
      cross join lateral (select r.duration_us::double precision / r.completed as recent, u.duration_us::double precision / u.completed as usual) m
      where u.completed >= p_min_usual and m.recent >= p_factor * m.usual and m.recent - m.usual >= p_seconds * 1000000;
    if v_ids is null then
      return;
    end if;
  end if;
  select array_agg(r.identity_id) into v_ids from unnest(v_figures) r
    join (
      select identity_id, sum(completed) as completed, sum(duration_us) as duration_us
        from tasker.usual_figures(v_from, v_hours, v_ids)
        group by identity_id having count(*) >= 3 and sum(completed) >= p_min_usual) u on u.identity_id = r.identity_id
    cross join lateral (select r.duration_us::double precision / r.completed as recent, u.duration_us::double precision / u.completed as usual) m
    where m.recent >= p_factor * m.usual and m.recent - m.usual >= p_seconds * 1000000;
  if v_ids is null then
    return;
  end if;
  return query
    with recent as (
      select f.*, h.keys, h.counts from unnest(v_figures) f
        join (select identity_id, array_agg(key) as keys, array_agg(n::numeric) as counts
          from tasker.window_histograms(v_from, p_now, v_ids) group by identity_id) h on h.identity_id = f.identity_id),
    usual as (
      select f.*, h.keys, h.counts from (
          select identity_id, sum(completed) as completed, sum(duration_us) as duration_us, max(max_duration_us) as max_duration_us,
              sum(dependency_wait_us) as dependency_wait_us, sum(queue_wait_us) as queue_wait_us, sum(retry_us) as retry_us
            from tasker.usual_figures(v_from, v_hours, v_ids) group by identity_id) f
        join (select identity_id, array_agg(key) as keys, array_agg(n::numeric) as counts
          from tasker.usual_histograms(v_from, v_hours, v_ids) group by identity_id) h on h.identity_id = f.identity_id)
    select i.namespace_name, i.task_name, i.version, i.step_name, v_hours, r.completed, u.completed::bigint,
        tasker.ratio(r.duration_us, r.completed * 1000000), tasker.ratio(u.duration_us, u.completed * 1000000), q.recent, q.usual,
        tasker.ratio(r.dependency_wait_us, r.completed * 1000000), tasker.ratio(u.dependency_wait_us, u.completed * 1000000),
        tasker.ratio(r.queue_wait_us, r.completed * 1000000), tasker.ratio(u.queue_wait_us, u.completed * 1000000),
        tasker.ratio(r.retry_us, r.completed * 1000000), tasker.ratio(u.retry_us, u.completed * 1000000)
      from recent r join usual u on u.identity_id = r.identity_id join tasker.analytics_identities i on i.id = r.identity_id
      cross join lateral (select (tasker.percentiles(r.keys, r.counts, r.max_duration_us))[2] as recent,
        (tasker.percentiles(u.keys, u.counts, u.max_duration_us))[2] as usual) q
      -- One long run raises a mean, and not the p95: both, or it is chance.
      where q.recent >= p_factor * q.usual and q.recent - q.usual >= p_seconds
      order by tasker.ratio(r.duration_us, r.completed) / nullif(tasker.ratio(u.duration_us, u.completed), 0) desc nulls first,
        i.namespace_name, i.task_name, i.version, i.step_name
      limit p_limit;
end $$;
