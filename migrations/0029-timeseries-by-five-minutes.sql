-- Time series by five minutes are read from the rollups of five minutes, and those by the hour begin with them.

drop function tasker.bucketed_pieces(timestamptz, timestamptz, interval);

-- The pieces of a window (tasker.window_pieces) when it is read in buckets: none but facts for buckets of a minute, nothing longer
-- than five minutes for buckets of five (where those are not kept, facts), no whole days for hours.
create function tasker.bucketed_pieces(p_from timestamptz, p_now timestamptz, p_length interval, out fives_from timestamptz,
  out fives_to timestamptz, out hours_from timestamptz, out days_from timestamptz, out days_to timestamptz) language sql stable as $$
  -- fives_from is hours_from where the first five minutes are dropped: from there on there may be some again.
  select case when p_length >= interval '1 hour' or p_length = interval '5 minutes' and p.fives_from >= s.fives_from then p.fives_from
        else timestamptz 'infinity' end,
      case when p_length < interval '1 hour' then timestamptz 'infinity' else p.hours_from end,
      case when p_length < interval '1 hour' then timestamptz 'infinity' else p.hours_from end,
      case when p_length < interval '24 hours' then timestamptz 'infinity' else p.days_from end,
      case when p_length < interval '24 hours' then timestamptz 'infinity' else p.days_to end
    from tasker.window_pieces(p_from, p_now) p, tasker.fold_state s
$$;

-- The figures of all tasks, and of all steps, of each bucket with any, in the words of tasker.rollups. What ended after p_now
-- (tasker.window_figures has it too) is in the last bucket.
create or replace function tasker.bucketed_figures(p_from timestamptz, p_now timestamptz, p_length interval, p_ids integer[])
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
          where (u.grain = 'f' and u.bucket_start >= v_pieces.fives_from and u.bucket_start < v_pieces.fives_to
              or u.grain = 'h' and u.bucket_start >= v_pieces.hours_from and u.bucket_start < v_pieces.days_from
              or u.grain = 'd' and u.bucket_start >= v_pieces.days_from and u.bucket_start < v_pieces.days_to
              or u.grain = 'h' and u.bucket_start >= v_pieces.days_to)
            and (p_ids is null or u.identity_id = any (p_ids))
        union all
        select f.ended_at, f.identity_id, f.completed, f.failed, f.cancelled, f.resolved, f.reopened * (f.completed + f.failed),
            f.attempts * (f.completed + f.failed), f.failed_attempts * (f.completed + f.failed), f.duration_us * f.completed,
            f.duration_us * f.completed, f.dependency_wait_us * f.completed, f.queue_wait_us * f.completed, f.retry_us * f.completed
          from tasker.facts_outside_rollups(p_from, v_pieces.fives_from, p_ids) f) r
      join tasker.analytics_identities i on i.id = r.identity_id
      group by 1, 2;
end $$;

-- The histograms of the completed lives of each bucket, one row per bucket, subject and bucket key of the histogram (unsorted).
create or replace function tasker.bucketed_histograms(p_from timestamptz, p_now timestamptz, p_length interval, p_ids integer[])
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
          where (h.grain = 'f' and h.bucket_start >= v_pieces.fives_from and h.bucket_start < v_pieces.fives_to
              or h.grain = 'h' and h.bucket_start >= v_pieces.hours_from and h.bucket_start < v_pieces.days_from
              or h.grain = 'd' and h.bucket_start >= v_pieces.days_from and h.bucket_start < v_pieces.days_to
              or h.grain = 'h' and h.bucket_start >= v_pieces.days_to)
            and (p_ids is null or h.identity_id = any (p_ids))
        union all
        select f.ended_at, f.identity_id, tasker.bucket_key(f.duration_us), 1
          from tasker.facts_outside_rollups(p_from, v_pieces.fives_from, p_ids) f where f.completed = 1) r
      join tasker.analytics_identities i on i.id = r.identity_id
      group by 1, 2, 3;
end $$;
