-- Reading a window. It is four disjoint pieces around the watermark: its ragged beginning from folded facts, whole hours, whole
-- UTC days, and everything that is not folded yet. The functions are STABLE: all their statements see the caller's snapshot;
-- a VOLATILE reader would take a new one per statement and could count a fact twice while it is being folded.

-- The window's beginning: `p_hours` before `p_now`, down to the minute up to 48 h, to the hour beyond. Null for all history.
create function tasker.window_start(p_hours integer, p_now timestamptz) returns timestamptz language sql immutable as $$
  select case when p_hours = 0 then null
    else date_trunc(case when p_hours <= 48 then 'minute' else 'hour' end, p_now - p_hours * interval '1 hour', 'UTC') end
$$;

-- The identities under a filter, templates and steps; null when nothing is filtered.
create function tasker.filtered_identities(p_namespace text, p_task_name text, p_version text) returns integer[]
language sql stable as $$
  select case when p_namespace is not null or p_task_name is not null or p_version is not null then (
    select coalesce(array_agg(id), '{}') from tasker.analytics_identities
      where (p_namespace is null or namespace_name = p_namespace) and (p_task_name is null or task_name = p_task_name)
        and (p_version is null or version = p_version)) end
$$;

-- Where the pieces of a window that begins at p_from meet: facts up to `hours_from`, hours up to `days_from`, days up to
-- `days_to`, hours from there on.
create function tasker.window_pieces(p_from timestamptz, p_now timestamptz,
  out hours_from timestamptz, out days_from timestamptz, out days_to timestamptz) language sql immutable as $$
  select h, least(d, today), today from (
    select h, date_trunc('day', h + interval '1 day' - interval '1 microsecond', 'UTC') as d,
        case when h is not null then greatest(date_trunc('day', p_now, 'UTC'), h) end as today
      from (select date_trunc('hour', p_from + interval '1 hour' - interval '1 microsecond', 'UTC') as h) x) y
$$;

-- The figures of each identity in the window, in the words of tasker.rollups. p_ids null: all identities.
create function tasker.window_figures(p_from timestamptz, p_now timestamptz, p_ids integer[])
returns table (identity_id integer, completed bigint, failed bigint, cancelled bigint, resolved bigint, skipped bigint, blocked bigint,
  reopened bigint, attempts bigint, failed_attempts bigint, duration_us bigint, max_duration_us bigint, failed_duration_us bigint,
  dependency_wait_us bigint, queue_wait_us bigint, retry_us bigint, step_count bigint, failed_step_count bigint,
  last_ended_at timestamptz)
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off set timezone = 'UTC' as $$
#variable_conflict use_column
declare
  v_watermark bigint;
  v_pieces record;
begin
  -- Into variables first: the planner then sees constants instead of subqueries.
  select watermark into strict v_watermark from tasker.fold_state;
  v_pieces := tasker.window_pieces(p_from, p_now);
  return query
    select r.identity_id, sum(r.completed)::bigint, sum(r.failed)::bigint, sum(r.cancelled)::bigint, sum(r.resolved)::bigint,
        sum(r.skipped)::bigint, sum(r.blocked)::bigint, sum(r.reopened)::bigint, sum(r.attempts)::bigint,
        sum(r.failed_attempts)::bigint, sum(r.duration_us)::bigint, max(r.max_duration_us)::bigint,
        sum(r.failed_duration_us)::bigint, sum(r.dependency_wait_us)::bigint, sum(r.queue_wait_us)::bigint,
        sum(r.retry_us)::bigint, sum(r.step_count)::bigint, sum(r.failed_step_count)::bigint, max(r.last_ended_at)
      from (
        select u.identity_id, u.completed, u.failed, u.cancelled, u.resolved, u.skipped, u.blocked, u.reopened, u.attempts,
            u.failed_attempts, u.duration_us, u.max_duration_us, u.failed_duration_us, u.dependency_wait_us, u.queue_wait_us,
            u.retry_us, u.step_count, u.failed_step_count, u.last_ended_at
          from tasker.rollups u
          where (p_from is null and u.grain = 'a'
              or u.grain = 'h' and u.bucket_start >= v_pieces.hours_from and u.bucket_start < v_pieces.days_from
              or u.grain = 'd' and u.bucket_start >= v_pieces.days_from and u.bucket_start < v_pieces.days_to
              or u.grain = 'h' and u.bucket_start >= v_pieces.days_to)
            and (p_ids is null or u.identity_id = any (p_ids))
        union all
        select f.identity_id, f.completed, f.failed, f.cancelled, f.resolved, f.skipped, f.blocked, f.reopened * (f.completed + f.failed),
            f.attempts * (f.completed + f.failed), f.failed_attempts * (f.completed + f.failed), f.duration_us * f.completed,
            f.duration_us * f.completed, f.duration_us * f.failed, f.dependency_wait_us * f.completed, f.queue_wait_us * f.completed,
            f.retry_us * f.completed, f.step_count * (f.completed + f.failed), f.failed_step_count * (f.completed + f.failed),
            case when f.completed + f.failed = 1 then f.ended_at end
          from tasker.window_facts(p_from, v_pieces.hours_from, v_watermark, p_ids) f) r
      group by r.identity_id;
end $$;

-- The facts that no whole bucket answers for: folded ones before the first whole hour, and all that are not folded.
create function tasker.window_facts(p_from timestamptz, p_hours_from timestamptz, p_watermark bigint, p_ids integer[])
returns setof tasker.ended language sql stable as $$
  select * from tasker.ended e
    where e.tick >= p_watermark and (p_from is null or e.ended_at >= p_from) and (p_ids is null or e.identity_id = any (p_ids))
  union all
  select * from tasker.ended e
    where e.tick < p_watermark and e.ended_at >= p_from and e.ended_at < p_hours_from and (p_ids is null or e.identity_id = any (p_ids))
$$;

-- The histograms of the window's completed lives, one row per identity and bucket key (unsorted).
create function tasker.window_histograms(p_from timestamptz, p_now timestamptz, p_ids integer[])
returns table (identity_id integer, key integer, n bigint)
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off set timezone = 'UTC' as $$
#variable_conflict use_column
declare
  v_watermark bigint;
  v_pieces record;
begin
  select watermark into strict v_watermark from tasker.fold_state;
  v_pieces := tasker.window_pieces(p_from, p_now);
  return query
    select r.identity_id, r.key, sum(r.n)::bigint from (
        select h.identity_id, u.key, u.n from tasker.rollup_histograms h cross join lateral unnest(h.keys, h.counts) u(key, n)
          where (p_from is null and h.grain = 'a'
              or h.grain = 'h' and h.bucket_start >= v_pieces.hours_from and h.bucket_start < v_pieces.days_from
              or h.grain = 'd' and h.bucket_start >= v_pieces.days_from and h.bucket_start < v_pieces.days_to
              or h.grain = 'h' and h.bucket_start >= v_pieces.days_to)
            and (p_ids is null or h.identity_id = any (p_ids))
        union all
        select f.identity_id, tasker.bucket_key(f.duration_us), 1
          from tasker.window_facts(p_from, v_pieces.hours_from, v_watermark, p_ids) f where f.completed = 1) r
      group by r.identity_id, r.key;
end $$;

-- Percentiles of histograms by nearest rank (as percentile_disc), in seconds, within 1 % and never above the maximum, which is exact.

create function tasker.percentiles(p_keys integer[], p_counts numeric[], p_max_us bigint) returns double precision[]
language sql immutable as $$
  with summed as (
    select key, sum(n) over (order by key) as upto, sum(n) over () as total
      from (select key, sum(n) as n from unnest(p_keys, p_counts) u(key, n) group by key) x)
  select array_agg((select least(tasker.bucket_us(s.key), p_max_us) / 1000000 from summed s
      where s.upto >= greatest(1, ceil(q * s.total)) order by s.key limit 1) order by q)
    from unnest(array[0.5, 0.95, 0.99]) q
$$;

-- The number of tasks ('task') or steps ('step') of each template in each state, folded and not, and when the first came into it.
create function tasker.current_counts(p_ids integer[])
returns table (identity_id integer, subject text, state text, count bigint, first_at timestamptz)
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off as $$
#variable_conflict use_column
declare
  v_watermark bigint;
begin
  select watermark into strict v_watermark from tasker.fold_state;
  return query
    select c.identity_id, c.subject, c.state, sum(c.count)::bigint, min(c.first_at) from (
        select s.identity_id, s.subject, s.state, s.count, s.first_at from tasker.state_counts s
        union all
        select d.identity_id, d.subject, d.state, d.delta, d.recorded_at from tasker.state_deltas d where d.tick >= v_watermark) c
      where p_ids is null or c.identity_id = any (p_ids)
      group by c.identity_id, c.subject, c.state;
end $$;
