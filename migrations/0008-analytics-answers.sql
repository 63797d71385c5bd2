-- The four functions that the analytics answer from; usable from psql. Definitions: docs/analytics.md. Durations in seconds,
-- rates in 0..1, null where nothing is behind a number. p_now is the end of the window; a caller that passes a time read
-- before its snapshot began knows that every commit up to then is in the answer.

create function tasker.ratio(p_part numeric, p_whole numeric) returns double precision language sql immutable as $$
  select (p_part / nullif(p_whole, 0))::double precision
$$;

create function tasker.get_analytics_metrics(p_hours integer default 24, p_namespace text default null, p_task_name text default null,
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
    select i.step_name is null as t, h.key, sum(h.n) as n from tasker.window_histograms(v_from, p_now, v_ids) h
      join tasker.analytics_identities i on i.id = h.identity_id group by 1, 2)
  select tasker.percentiles(array_agg(key) filter (where t), array_agg(n) filter (where t), (max_task_duration_seconds * 1000000)::bigint),
      tasker.percentiles(array_agg(key) filter (where not t), array_agg(n) filter (where not t), (max_step_duration_seconds * 1000000)::bigint)
    into task_percentiles, step_percentiles from h;
end $$;

-- What exists and runs now: tasks and steps by state (they sum to the totals), and the evidence for the health.
create function tasker.get_system_health_counts(p_namespace text default null, p_task_name text default null,
  p_version text default null, p_now timestamptz default tasker.clock(),
  out total_tasks bigint, out tasks jsonb, out total_steps bigint, out steps jsonb, out running_steps bigint,
  out running_steps_alive bigint, out oldest_claimable_seconds double precision)
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off as $$
declare
  v_ids integer[] := tasker.filtered_identities(p_namespace, p_task_name, p_version);
begin
  select coalesce(sum(n) filter (where subject = 'task'), 0), jsonb_object_agg(state, n) filter (where subject = 'task'),
      coalesce(sum(n) filter (where subject = 'step'), 0), jsonb_object_agg(state, n) filter (where subject = 'step')
    into total_tasks, tasks, total_steps, steps
    from (select k.subject, k.state, coalesce(sum(c.count), 0)::bigint as n
      from (select 'task' as subject, unnest(enum_range(null::tasker.task_state))::text as state
        union all select 'step', unnest(enum_range(null::tasker.step_state))::text) k
      left join tasker.current_counts(v_ids) c on c.subject = k.subject and c.state = k.state group by 1, 2) x;
  select count(*), count(*) filter (where s.lease_expires_at > p_now) into running_steps, running_steps_alive
    from tasker.workflow_steps s where s.state = 'in_progress' and (v_ids is null or s.named_step_id = any (v_ids));
  select extract(epoch from p_now - min(s.available_at)) into oldest_claimable_seconds
    from tasker.workflow_steps s where s.state in ('enqueued', 'waiting_for_retry') and s.available_at <= p_now
      and (v_ids is null or s.named_step_id = any (v_ids));
end $$;

-- The figures of each step in the window, before ranking and without percentiles.
create function tasker.step_figures(p_from timestamptz, p_now timestamptz, p_ids integer[])
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
    from tasker.window_figures(p_from, p_now, p_ids) f
    join tasker.analytics_identities i on i.id = f.identity_id and i.step_name is not null
    left join running r on r.named_step_id = f.identity_id
$$;

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
  total_time_seconds double precision, share_of_template_time double precision, percentiles double precision[])
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off set timezone = 'UTC' as $$
#variable_conflict use_column
declare
  v_ids integer[] := tasker.filtered_identities(p_namespace, p_task_name, p_version);
  v_from timestamptz := tasker.window_start(p_hours, p_now);
  v_candidates integer[];
begin
  -- Percentiles are read for the winners only; a sort by percentile needs everybody's.
  select array_agg(identity_id) into v_candidates from (
    select identity_id from tasker.step_figures(v_from, p_now, v_ids) f where execution_count >= p_min_executions
      order by case p_sort when 'average_duration' then average_duration_seconds when 'total_time' then total_time_seconds
          when 'queue_wait' then average_queue_wait_seconds when 'retry' then average_retry_seconds
          when 'error_rate' then error_rate end desc nulls last, namespace_name, task_name, version, step_name
      limit case when p_sort = 'p95_duration' then null else p_limit end) winners;
  return query
    with h as (
      select identity_id, array_agg(key) as keys, array_agg(n::numeric) as counts
        from tasker.window_histograms(v_from, p_now, v_candidates) group by identity_id),
    figures as (
      select f.*, tasker.percentiles(h.keys, h.counts, (f.max_duration_seconds * 1000000)::bigint) as p
        from tasker.step_figures(v_from, p_now, v_ids) f left join h on h.identity_id = f.identity_id
        where f.identity_id = any (v_candidates))
    select namespace_name, task_name, version, step_name, average_duration_seconds, max_duration_seconds, execution_count,
        completed_count, error_count, error_rate, last_executed_at, average_dependency_wait_seconds, average_queue_wait_seconds,
        average_retry_seconds, average_failed_duration_seconds, attempt_count, failed_attempt_count, reopened_count, cancelled_count,
        skipped_count, blocked_count, resolved_count, running_count, oldest_running_seconds, total_time_seconds,
        share_of_template_time, p
      from figures
      order by case p_sort when 'average_duration' then average_duration_seconds when 'p95_duration' then p[2]
          when 'total_time' then total_time_seconds when 'queue_wait' then average_queue_wait_seconds
          when 'retry' then average_retry_seconds when 'error_rate' then error_rate end desc nulls last,
        namespace_name, task_name, version, step_name
      limit p_limit;
end $$;

-- The slowest tasks by (namespace, task name, version), longest mean duration first (or by p95, total time or error rate).
create function tasker.get_slowest_tasks_aggregated(p_limit integer default 10, p_min_executions integer default 5,
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
begin
  -- Templates are few beside steps: every histogram is read.
  return query
    with h as (
      select h.identity_id, array_agg(h.key) as keys, array_agg(h.n::numeric) as counts
        from tasker.window_histograms(v_from, p_now, (
          select coalesce(array_agg(id), '{}') from tasker.analytics_identities
            where step_name is null and (v_ids is null or id = any (v_ids)))) h group by h.identity_id),
    figures as (
      select i.namespace_name, i.task_name, i.version, tasker.ratio(f.duration_us, f.completed * 1000000) as average_duration,
          case when f.completed > 0 then f.max_duration_us / 1000000.0::double precision end as max_duration,
          f.completed + f.failed as executions, f.completed, tasker.ratio(f.step_count, f.completed + f.failed) as steps, f.failed,
          tasker.ratio(f.failed, f.completed + f.failed) as failures, f.last_ended_at, f.failed_step_count, f.cancelled, f.resolved,
          (f.duration_us + f.failed_duration_us) / 1000000.0::double precision as total_time,
          tasker.percentiles(h.keys, h.counts, f.max_duration_us) as p
        from tasker.window_figures(v_from, p_now, v_ids) f
        join tasker.analytics_identities i on i.id = f.identity_id and i.step_name is null
        left join h on h.identity_id = f.identity_id
        where f.completed + f.failed >= p_min_executions)
    select x.* from figures x
      order by case p_sort when 'p95_duration' then x.p[2] when 'total_time' then x.total_time when 'error_rate' then x.failures
          else x.average_duration end desc nulls last, x.namespace_name, x.task_name, x.version
      limit p_limit;
end $$;
