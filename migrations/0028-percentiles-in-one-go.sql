-- The answers read percentiles of everything that they name in one go, in place of one call for each; what ranks arrays of figures is
-- planned once for a session, since the arrays' values make no difference to such plans; and what is slower than usual is told
-- from two sums for each step before anything else of it is read.

-- Percentiles in seconds, none above the exact maximum; three nulls when nothing completed.
create function tasker.percentile_seconds(p_percentiles_us double precision[], p_max_us bigint) returns double precision[]
language sql immutable as $$
  select array[case when p_percentiles_us[1] is not null then least(p_percentiles_us[1], p_max_us) / 1000000 end,
    case when p_percentiles_us[2] is not null then least(p_percentiles_us[2], p_max_us) / 1000000 end,
    case when p_percentiles_us[3] is not null then least(p_percentiles_us[3], p_max_us) / 1000000 end]
$$;

-- The slowest steps of the figures of a window, as tasker.get_slowest_steps_aggregated has them.
create or replace function tasker.slowest_steps(p_figures tasker.figures[], p_from timestamptz, p_now timestamptz, p_ids integer[],
  p_limit integer, p_min_executions integer, p_sort text)
returns table (namespace_name text, task_name text, version text, step_name text,
  average_duration_seconds double precision, max_duration_seconds double precision, execution_count bigint, completed_count bigint,
  error_count bigint, error_rate double precision, last_executed_at timestamptz, average_dependency_wait_seconds double precision,
  average_queue_wait_seconds double precision, average_retry_seconds double precision, average_failed_duration_seconds double precision,
  attempt_count bigint, failed_attempt_count bigint, reopened_count bigint, cancelled_count bigint, skipped_count bigint,
  blocked_count bigint, resolved_count bigint, running_count bigint, oldest_running_seconds double precision,
  total_time_seconds double precision, share_of_template_time double precision, critical_path_share double precision,
  percentiles double precision[])
language plpgsql stable set plan_cache_mode = force_generic_plan set jit = off set timezone = 'UTC' as $$
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
    percentiles as materialized (
      select x.* from winners w cross join lateral tasker.window_percentiles(p_from, p_now, w.ids) x),
    shares as materialized (
      select * from paths
      union all
      select c.* from winners w
        cross join lateral tasker.critical_path_shares(p_from, p_now, tasker.whole_templates(w.ids)) c where p_sort <> 'critical_path'),
    figures as (
      select f.*, c.share, tasker.percentile_seconds(x.percentiles_us, (f.max_duration_seconds * 1000000)::bigint) as p
        from ranked f left join percentiles x on x.identity_id = f.identity_id left join shares c on c.identity_id = f.identity_id)
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

-- The slowest tasks of the figures of a window, as tasker.get_slowest_tasks_aggregated has them.
create or replace function tasker.slowest_tasks(p_figures tasker.figures[], p_from timestamptz, p_now timestamptz,
  p_limit integer, p_min_executions integer, p_sort text)
returns table (namespace_name text, task_name text, version text, average_duration_seconds double precision,
  max_duration_seconds double precision, execution_count bigint, completed_count bigint, average_step_count double precision,
  error_count bigint, error_rate double precision, last_executed_at timestamptz, failed_step_count bigint, cancelled_count bigint,
  resolved_count bigint, total_time_seconds double precision, percentiles double precision[])
language plpgsql stable set plan_cache_mode = force_generic_plan set jit = off set timezone = 'UTC' as $$
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
    percentiles as materialized (
      select y.* from (select coalesce(array_agg(identity_id), '{}') as ids from ranked) w
        cross join lateral tasker.window_percentiles(p_from, p_now, w.ids) y)
    select x.namespace_name, x.task_name, x.version, x.average_duration, x.max_duration, x.executions, x.completed, x.steps, x.failed,
        x.failures, x.last_ended_at, x.failed_step_count, x.cancelled, x.resolved, x.total_time, p.p
      from ranked x left join percentiles y on y.identity_id = x.identity_id
      cross join lateral (select tasker.percentile_seconds(y.percentiles_us, x.max_duration_us) as p) p
      order by case p_sort when 'p95_duration' then p.p[2] when 'total_time' then x.total_time when 'error_rate' then x.failures
          else x.average_duration end desc nulls last, x.namespace_name, x.task_name, x.version
      limit p_limit;
end $$;

-- What completed of each identity from p_from to before p_to (null: whenever), both at the beginning of an hour.
create function tasker.completed_totals(p_from timestamptz, p_to timestamptz, p_ids integer[])
returns table (identity_id integer, completed bigint, duration_us bigint)
language plpgsql stable set plan_cache_mode = force_generic_plan set jit = off set enable_seqscan = off set timezone = 'UTC' as $$
#variable_conflict use_column
declare
  v_to timestamptz := coalesce(p_to, 'infinity');
  v_pieces record := tasker.window_pieces(p_from, coalesce(p_to, tasker.clock()));
begin
  return query
    select x.identity_id, sum(x.completed)::bigint, sum(x.duration_us)::bigint from (
        select u.identity_id, u.completed, u.duration_us from tasker.rollups u
          where (u.grain = 'h' and u.bucket_start >= v_pieces.hours_from and u.bucket_start < v_pieces.quarters_from
              or u.grain = 'q' and u.bucket_start >= v_pieces.quarters_from and u.bucket_start < v_pieces.days_from
              or u.grain = 'd' and u.bucket_start >= v_pieces.days_from and u.bucket_start < v_pieces.days_to
              or u.grain = 'q' and u.bucket_start >= v_pieces.days_to and u.bucket_start < v_pieces.quarters_to
              or u.grain = 'h' and u.bucket_start >= v_pieces.quarters_to and u.bucket_start < v_to)
            -- Not any (p_ids): an array that the plan does not know is searched from its beginning for each row.
            and (p_ids is null or u.identity_id in (select unnest(p_ids)))
        union all
        select f.identity_id, f.completed, f.duration_us from tasker.facts_outside_rollups(p_from, p_from, p_ids) f
          where f.completed = 1 and f.ended_at < v_to) x
      group by 1 having sum(x.completed) > 0;
end $$;

drop function tasker.usual_totals(timestamptz, integer[]);

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
  v_figures tasker.figures[];
  v_ids integer[];
  -- Two arrays, sum by sum.
  v_completed bigint[];
  v_durations bigint[];
begin
  -- What ran too seldom or too shortly to be slower by p_seconds needs no look at the past.
  select array_agg(t.identity_id), array_agg(t.completed), array_agg(t.duration_us) into v_ids, v_completed, v_durations
    from tasker.completed_totals(v_from, null, tasker.filtered_identities(p_namespace, p_task_name, p_version)) t
    join tasker.analytics_identities i on i.id = t.identity_id and i.step_name is not null
    where t.completed >= p_min_executions and t.duration_us >= p_seconds * 1000000 * t.completed;
  if v_ids is null then
    return;
  end if;
  -- A day's hours are whole days of the past: what is not slower in all is told from few rows.
  if v_hours = 24 then
    select array_agg(r.identity_id), array_agg(r.completed), array_agg(r.duration_us) into v_ids, v_completed, v_durations
      from unnest(v_ids, v_completed, v_durations) r(identity_id, completed, duration_us)
      join tasker.completed_totals(v_from - interval '168 hours', v_from, v_ids) u on u.identity_id = r.identity_id
      cross join lateral (select r.duration_us::double precision / r.completed as recent, u.duration_us::double precision / u.completed as usual) m
      where u.completed >= p_min_usual and m.recent >= p_factor * m.usual and m.recent - m.usual >= p_seconds * 1000000;
    if v_ids is null then
      return;
    end if;
  end if;
  select array_agg(r.identity_id) into v_ids from unnest(v_ids, v_completed, v_durations) r(identity_id, completed, duration_us)
    join (
      select identity_id, sum(completed) as completed, sum(duration_us) as duration_us
        from tasker.usual_figures(v_from, v_hours, v_ids)
        group by identity_id having count(*) >= 3 and sum(completed) >= p_min_usual) u on u.identity_id = r.identity_id
    cross join lateral (select r.duration_us::double precision / r.completed as recent, u.duration_us::double precision / u.completed as usual) m
    where m.recent >= p_factor * m.usual and m.recent - m.usual >= p_seconds * 1000000;
  if v_ids is null then
    return;
  end if;
  v_figures := tasker.figures_of(v_from, p_now, v_ids);
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
