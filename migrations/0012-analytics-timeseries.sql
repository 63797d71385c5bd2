-- The figures of a window bucket by bucket. The window, its pieces and its definitions are those of 0007: the buckets' sums are
-- the window's figures.

-- The facts that no whole bucket of the rollups answers for: folded ones before p_rollups_from, and all that are not folded.
-- The only place of these answers that asks what is folded.
create function tasker.facts_outside_rollups(p_from timestamptz, p_rollups_from timestamptz, p_ids integer[])
returns setof tasker.ended language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off as $$
declare
  v_watermark bigint;
  v_open bigint[];
begin
  select watermark, open_ticks into strict v_watermark, v_open from tasker.fold_state;
  return query select * from tasker.window_facts(p_from, p_rollups_from, v_watermark, v_open, p_ids);
end $$;

-- The identities under a filter with a step's name: the templates, and of their steps those of the name. Null for all.
create function tasker.filtered_identities(p_namespace text, p_task_name text, p_version text, p_step_name text) returns integer[]
language sql stable as $$
  select case when p_step_name is null then tasker.filtered_identities(p_namespace, p_task_name, p_version) else (
    select coalesce(array_agg(id), '{}') from tasker.analytics_identities
      where (p_namespace is null or namespace_name = p_namespace) and (p_task_name is null or task_name = p_task_name)
        and (p_version is null or version = p_version) and (step_name is null or step_name = p_step_name)) end
$$;

-- How long a bucket is. 24 hours and not a day: a day of a session's time zone may be longer or shorter.
create function tasker.bucket_length(p_bucket text) returns interval language plpgsql immutable as $$
begin
  case p_bucket
    when 'minute' then return interval '1 minute';
    when '5m' then return interval '5 minutes';
    when 'hour' then return interval '1 hour';
    when 'day' then return interval '24 hours';
    else raise exception 'bucket must be one of auto, minute, 5m, hour, day, got %', p_bucket using errcode = 'invalid_parameter_value';
  end case;
end $$;

-- The bucket that 'auto' stands for in a window of so many hours.
create function tasker.chosen_bucket(p_bucket text, p_hours integer) returns text language sql immutable as $$
  select case when p_bucket <> 'auto' then p_bucket when p_hours <= 3 then 'minute' when p_hours <= 12 then '5m'
    when p_hours <= 240 then 'hour' else 'day' end
$$;

-- The shortest window in whole hours, up to a year, that reaches back to a time: for dashboards, which know that.
create function tasker.hours_since(p_from timestamptz) returns integer language sql stable as $$
  select least(8760, greatest(1, ceil(extract(epoch from tasker.clock() - p_from) / 3600)))::integer
$$;

-- The beginning of the bucket of a time, in UTC.
create function tasker.bucket_of(p_at timestamptz, p_length interval) returns timestamptz language sql immutable as $$
  select date_bin(p_length, p_at, timestamptz '1970-01-01 00:00:00+00')
$$;

-- The pieces of a window (tasker.window_pieces) when it is read in buckets: none but facts for buckets shorter than an hour,
-- no whole days for hours.
create function tasker.bucketed_pieces(p_from timestamptz, p_now timestamptz, p_length interval,
  out hours_from timestamptz, out days_from timestamptz, out days_to timestamptz) language sql immutable as $$
  select case when p_length < interval '1 hour' then timestamptz 'infinity' else p.hours_from end,
      case when p_length < interval '24 hours' then timestamptz 'infinity' else p.days_from end,
      case when p_length < interval '24 hours' then timestamptz 'infinity' else p.days_to end
    from tasker.window_pieces(p_from, p_now) p
$$;

-- The figures of all tasks, and of all steps, of each bucket with any, in the words of tasker.rollups. What ended after p_now
-- (tasker.window_figures has it too) is in the last bucket.
create function tasker.bucketed_figures(p_from timestamptz, p_now timestamptz, p_length interval, p_ids integer[])
returns table (bucket_start timestamptz, is_task boolean, completed bigint, failed bigint, cancelled bigint, resolved bigint,
  reopened bigint, attempts bigint, failed_attempts bigint, duration_us bigint, max_duration_us bigint,
  dependency_wait_us bigint, queue_wait_us bigint, retry_us bigint)
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off set timezone = 'UTC' as $$
#variable_conflict use_column
declare
  v_pieces record := tasker.bucketed_pieces(p_from, p_now, p_length);
  v_last timestamptz := tasker.bucket_of(p_now, p_length);
begin
  return query
    select least(tasker.bucket_of(r.at, p_length), v_last), i.step_name is null, sum(r.completed)::bigint, sum(r.failed)::bigint,
        sum(r.cancelled)::bigint, sum(r.resolved)::bigint, sum(r.reopened)::bigint, sum(r.attempts)::bigint,
        sum(r.failed_attempts)::bigint, sum(r.duration_us)::bigint, max(r.max_duration_us)::bigint,
        sum(r.dependency_wait_us)::bigint, sum(r.queue_wait_us)::bigint, sum(r.retry_us)::bigint
      from (
        select u.bucket_start as at, u.identity_id, u.completed, u.failed, u.cancelled, u.resolved, u.reopened, u.attempts,
            u.failed_attempts, u.duration_us, u.max_duration_us, u.dependency_wait_us, u.queue_wait_us, u.retry_us
          from tasker.rollups u
          where (u.grain = 'h' and u.bucket_start >= v_pieces.hours_from and u.bucket_start < v_pieces.days_from
              or u.grain = 'd' and u.bucket_start >= v_pieces.days_from and u.bucket_start < v_pieces.days_to
              or u.grain = 'h' and u.bucket_start >= v_pieces.days_to)
            and (p_ids is null or u.identity_id = any (p_ids))
        union all
        select f.ended_at, f.identity_id, f.completed, f.failed, f.cancelled, f.resolved, f.reopened * (f.completed + f.failed),
            f.attempts * (f.completed + f.failed), f.failed_attempts * (f.completed + f.failed), f.duration_us * f.completed,
            f.duration_us * f.completed, f.dependency_wait_us * f.completed, f.queue_wait_us * f.completed, f.retry_us * f.completed
          from tasker.facts_outside_rollups(p_from, v_pieces.hours_from, p_ids) f) r
      join tasker.analytics_identities i on i.id = r.identity_id
      group by 1, 2;
end $$;

-- The histograms of the completed lives of each bucket, one row per bucket, subject and bucket key of the histogram (unsorted).
create function tasker.bucketed_histograms(p_from timestamptz, p_now timestamptz, p_length interval, p_ids integer[])
returns table (bucket_start timestamptz, is_task boolean, key integer, n bigint)
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off set timezone = 'UTC' as $$
#variable_conflict use_column
declare
  v_pieces record := tasker.bucketed_pieces(p_from, p_now, p_length);
  v_last timestamptz := tasker.bucket_of(p_now, p_length);
begin
  return query
    select least(tasker.bucket_of(r.at, p_length), v_last), i.step_name is null, r.key, sum(r.n)::bigint from (
        select h.bucket_start as at, h.identity_id, u.key, u.n
          from tasker.rollup_histograms h cross join lateral unnest(h.keys, h.counts) u(key, n)
          where (h.grain = 'h' and h.bucket_start >= v_pieces.hours_from and h.bucket_start < v_pieces.days_from
              or h.grain = 'd' and h.bucket_start >= v_pieces.days_from and h.bucket_start < v_pieces.days_to
              or h.grain = 'h' and h.bucket_start >= v_pieces.days_to)
            and (p_ids is null or h.identity_id = any (p_ids))
        union all
        select f.ended_at, f.identity_id, tasker.bucket_key(f.duration_us), 1
          from tasker.facts_outside_rollups(p_from, v_pieces.hours_from, p_ids) f where f.completed = 1) r
      join tasker.analytics_identities i on i.id = r.identity_id
      group by 1, 2, 3;
end $$;

-- A row for each bucket of the window of p_hours that ends at p_now, also for those in which nothing ended. is_complete: the
-- window holds all of it; its first bucket may begin before the window, its last is still going on. p_step_name restricts the
-- figures of steps; those of tasks are the templates'.
create function tasker.get_analytics_timeseries(p_hours integer default 24, p_bucket text default 'auto',
  p_namespace text default null, p_task_name text default null, p_version text default null, p_step_name text default null,
  p_now timestamptz default tasker.clock())
returns table (bucket_start timestamptz, bucket_end timestamptz, is_complete boolean, completed_tasks bigint, failed_tasks bigint,
  cancelled_tasks bigint, resolved_tasks bigint, completion_rate double precision, error_rate double precision,
  average_task_duration_seconds double precision, max_task_duration_seconds double precision, task_percentiles double precision[],
  step_execution_count bigint, step_completed_count bigint, step_error_count bigint, step_error_rate double precision,
  attempt_count bigint, failed_attempt_count bigint, reopened_count bigint, average_step_duration_seconds double precision,
  max_step_duration_seconds double precision, step_percentiles double precision[], average_dependency_wait_seconds double precision,
  average_queue_wait_seconds double precision, average_retry_seconds double precision)
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off set timezone = 'UTC' as $$
#variable_conflict use_column
declare
  v_ids integer[] := tasker.filtered_identities(p_namespace, p_task_name, p_version, p_step_name);
  v_length interval := tasker.bucket_length(tasker.chosen_bucket(p_bucket, p_hours));
  v_from timestamptz := tasker.window_start(p_hours, p_now);
begin
  if v_from is null then
    raise exception 'hours must be at least 1, got %', p_hours using errcode = 'invalid_parameter_value';
  end if;
  return query
    with figures as materialized (select * from tasker.bucketed_figures(v_from, p_now, v_length, v_ids)),
    histograms as materialized (
      select bucket_start, is_task, array_agg(key) as keys, array_agg(n::numeric) as counts
        from tasker.bucketed_histograms(v_from, p_now, v_length, v_ids) group by 1, 2)
    select b, b + v_length, b >= v_from and b + v_length <= p_now,
        coalesce(t.completed, 0), coalesce(t.failed, 0), coalesce(t.cancelled, 0), coalesce(t.resolved, 0),
        tasker.ratio(t.completed, t.completed + t.failed), tasker.ratio(t.failed, t.completed + t.failed),
        tasker.ratio(t.duration_us, t.completed * 1000000), case when t.completed > 0 then t.max_duration_us / 1000000.0 end::double precision,
        case when th.keys is not null then tasker.percentiles(th.keys, th.counts, t.max_duration_us) end,
        coalesce(s.completed + s.failed, 0), coalesce(s.completed, 0), coalesce(s.failed, 0), tasker.ratio(s.failed, s.completed + s.failed),
        coalesce(s.attempts, 0), coalesce(s.failed_attempts, 0), coalesce(s.reopened, 0),
        tasker.ratio(s.duration_us, s.completed * 1000000), case when s.completed > 0 then s.max_duration_us / 1000000.0 end::double precision,
        case when sh.keys is not null then tasker.percentiles(sh.keys, sh.counts, s.max_duration_us) end,
        tasker.ratio(s.dependency_wait_us, s.completed * 1000000),
        tasker.ratio(s.queue_wait_us, s.completed * 1000000), tasker.ratio(s.retry_us, s.completed * 1000000)
      from generate_series(tasker.bucket_of(v_from, v_length), tasker.bucket_of(p_now, v_length), v_length) b
      left join figures t on t.bucket_start = b and t.is_task
      left join figures s on s.bucket_start = b and not s.is_task
      left join histograms th on th.bucket_start = b and th.is_task
      left join histograms sh on sh.bucket_start = b and not sh.is_task
      order by b;
end $$;
