-- Steps that take longer than usual: the latest hours, up to a day of them, against the same hours of the seven days before.

-- The figures of these identities (completed lives only) in each of the seven days before p_from, in the p_hours hours from
-- p_from's on, which is the beginning of an hour.
create function tasker.usual_figures(p_from timestamptz, p_hours integer, p_ids integer[])
returns table (identity_id integer, days_ago integer, completed bigint, duration_us bigint, max_duration_us bigint,
  dependency_wait_us bigint, queue_wait_us bigint, retry_us bigint)
language sql stable set jit = off set timezone = 'UTC' as $$
  with hours as materialized (
    select d, p_from - d * interval '24 hours' + h * interval '1 hour' as hour from generate_series(1, 7) d, generate_series(0, p_hours - 1) h)
  select x.identity_id, x.d, sum(x.completed)::bigint, sum(x.duration_us)::bigint, max(x.max_duration_us)::bigint,
      sum(x.dependency_wait_us)::bigint, sum(x.queue_wait_us)::bigint, sum(x.retry_us)::bigint
    from (
      select u.identity_id, hours.d, u.completed, u.duration_us, u.max_duration_us, u.dependency_wait_us, u.queue_wait_us, u.retry_us
        from hours join tasker.rollups u on u.grain = 'h' and u.bucket_start = hours.hour and u.identity_id = any (p_ids)
      union all
      select f.identity_id, hours.d, f.completed, f.duration_us, f.duration_us, f.dependency_wait_us, f.queue_wait_us, f.retry_us
        from tasker.facts_outside_rollups(p_from - interval '168 hours', p_from - interval '168 hours', p_ids) f
        join hours on hours.hour = date_trunc('hour', f.ended_at, 'UTC')
        where f.completed = 1) x
    group by 1, 2 having sum(x.completed) > 0
$$;

-- Their histograms, one row per identity and bucket key (unsorted).
create function tasker.usual_histograms(p_from timestamptz, p_hours integer, p_ids integer[])
returns table (identity_id integer, key integer, n bigint)
language sql stable set jit = off set timezone = 'UTC' as $$
  with hours as materialized (
    select p_from - d * interval '24 hours' + h * interval '1 hour' as hour from generate_series(1, 7) d, generate_series(0, p_hours - 1) h)
  select x.identity_id, x.key, sum(x.n)::bigint from (
      select u.identity_id, k.key, k.n
        from hours join tasker.rollup_histograms u on u.grain = 'h' and u.bucket_start = hours.hour and u.identity_id = any (p_ids)
        cross join lateral unnest(u.keys, u.counts) k(key, n)
      union all
      select f.identity_id, tasker.bucket_key(f.duration_us), 1
        from tasker.facts_outside_rollups(p_from - interval '168 hours', p_from - interval '168 hours', p_ids) f
        join hours on hours.hour = date_trunc('hour', f.ended_at, 'UTC')
        where f.completed = 1) x
    group by 1, 2
$$;

-- The steps whose mean and p95 of the last p_hours hours (at most 24, the current one included) are both p_factor times what
-- they were at the same hours of the seven days before, and longer by p_seconds; the slowest in proportion first. Of the latest
-- hours there must be p_min_executions that completed, of the days before p_min_usual on at least three days.
create function tasker.get_steps_slower_than_usual(p_hours integer default 24, p_min_executions integer default 20,
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
  v_ids integer[] := tasker.filtered_identities(p_namespace, p_task_name, p_version);
begin
  -- What ran too seldom or too shortly to be slower by p_seconds needs no look at the past.
  select array_agg(f.identity_id) into v_ids from tasker.window_figures(v_from, p_now, v_ids) f
    join tasker.analytics_identities i on i.id = f.identity_id and i.step_name is not null
    where f.completed >= p_min_executions and f.duration_us >= p_seconds * 1000000 * f.completed;
  if v_ids is null then
    return;
  end if;
  select array_agg(r.identity_id) into v_ids from tasker.window_figures(v_from, p_now, v_ids) r
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
      select f.*, h.keys, h.counts from tasker.window_figures(v_from, p_now, v_ids) f
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
