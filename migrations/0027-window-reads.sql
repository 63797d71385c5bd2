-- Reading a window once more, for less: its beginning in five minutes and quarter days where they are whole, the facts beside the rollups by a
-- plan that is made once, and percentiles of many identities in one go.

drop function tasker.window_pieces(timestamptz, timestamptz);

-- Where the pieces of a window that begins at p_from meet: facts up to `fives_from`, five minutes up to `hours_from`, hours up to
-- `quarters_from`, quarter days up to `days_from`, days up to `days_to`, quarter days up to `quarters_to`, hours from there on. Where
-- five minutes are dropped already, facts up to `hours_from`.
create function tasker.window_pieces(p_from timestamptz, p_now timestamptz, out fives_from timestamptz, out hours_from timestamptz,
  out quarters_from timestamptz, out days_from timestamptz, out days_to timestamptz, out quarters_to timestamptz)
language plpgsql stable as $$
begin
  if p_from is null then
    return;
  end if;
  hours_from := date_trunc('hour', p_from + interval '1 hour' - interval '1 microsecond', 'UTC');
  fives_from := tasker.five_minutes_of(p_from + interval '5 minutes' - interval '1 microsecond');
  if exists (select from tasker.fold_state s where s.fives_from > window_pieces.fives_from) then
    fives_from := hours_from;
  end if;
  quarters_to := greatest(tasker.quarter_day_of(p_now), hours_from);
  quarters_from := least(tasker.quarter_day_of(hours_from + interval '6 hours' - interval '1 microsecond'), quarters_to);
  days_from := date_trunc('day', hours_from + interval '1 day' - interval '1 microsecond', 'UTC');
  days_to := date_trunc('day', p_now, 'UTC');
  -- No day is whole.
  if days_from >= days_to then
    days_from := quarters_from;
    days_to := quarters_from;
  end if;
end $$;

drop function tasker.window_facts(timestamptz, timestamptz, bigint, bigint[], integer[]);

-- What readers of windows need of a fact: without the texts of its states, which cost as much as all the rest.
create view tasker.ended_lives as
  select identity_id, ended_at, tick, task_id, is_task, completed, failed, cancelled, resolved, skipped, blocked, reopened, attempts,
      failed_attempts, duration_us, dependency_wait_us, queue_wait_us, retry_us, step_count, failed_step_count
    from tasker.ended;

-- The facts that are not folded and ended at p_from or later (null: whenever), found by their tick.
-- By a generic plan: these are a few rows out of two tables with a partition a day, which take longer to plan than to read.
create function tasker.unfolded_facts(p_from timestamptz, p_watermark bigint, p_open bigint[], p_ids integer[])
returns setof tasker.ended_lives language plpgsql stable rows 100
set plan_cache_mode = force_generic_plan set jit = off set max_parallel_workers_per_gather = 0 set enable_seqscan = off set enable_bitmapscan = off as $$
declare
  v_from timestamptz := coalesce(p_from, '-infinity');
begin
  return query select * from tasker.ended_lives e
    where e.tick >= p_watermark and e.ended_at >= v_from and (p_ids is null or e.identity_id = any (p_ids));
  if p_open <> '{}' then
    return query select * from tasker.ended_lives e
      where e.tick = any (p_open) and e.ended_at >= v_from and (p_ids is null or e.identity_id = any (p_ids));
  end if;
end $$;

-- The folded facts that ended from p_from to before p_to, found by their time: the sum keeps the planner from walking everything
-- that is folded by its tick.
create function tasker.folded_facts(p_from timestamptz, p_to timestamptz, p_watermark bigint, p_open bigint[], p_ids integer[])
returns setof tasker.ended_lives language plpgsql stable rows 1000
set plan_cache_mode = force_generic_plan set jit = off set max_parallel_workers_per_gather = 0 set enable_seqscan = off as $$
begin
  if p_from < p_to then
    return query select * from tasker.ended_lives e
      where e.tick + 0 < p_watermark and e.tick <> all (p_open) and e.ended_at >= p_from and e.ended_at < p_to
        and (p_ids is null or e.identity_id = any (p_ids));
  end if;
end $$;

-- The facts that no whole bucket answers for: folded ones before p_rollups_from, and all that are not folded.
create function tasker.window_facts(p_from timestamptz, p_rollups_from timestamptz, p_watermark bigint, p_open bigint[], p_ids integer[])
returns setof tasker.ended_lives language sql stable as $$
  select * from tasker.unfolded_facts(p_from, p_watermark, p_open, p_ids)
  union all
  select * from tasker.folded_facts(p_from, p_rollups_from, p_watermark, p_open, p_ids)
$$;

-- What these answers need to know of the fold, for readers of their own.
drop function tasker.facts_outside_rollups(timestamptz, timestamptz, integer[]);
create function tasker.facts_outside_rollups(p_from timestamptz, p_rollups_from timestamptz, p_ids integer[])
returns setof tasker.ended_lives language plpgsql stable set jit = off as $$
declare
  v_watermark bigint;
  v_open bigint[];
begin
  select watermark, open_ticks into strict v_watermark, v_open from tasker.fold_state;
  return query select * from tasker.window_facts(p_from, p_rollups_from, v_watermark, v_open, p_ids);
end $$;

create or replace function tasker.window_figures(p_from timestamptz, p_now timestamptz, p_ids integer[])
returns table (identity_id integer, completed bigint, failed bigint, cancelled bigint, resolved bigint, skipped bigint, blocked bigint,
  reopened bigint, attempts bigint, failed_attempts bigint, duration_us bigint, max_duration_us bigint, failed_duration_us bigint,
  dependency_wait_us bigint, queue_wait_us bigint, retry_us bigint, step_count bigint, failed_step_count bigint,
  last_ended_at timestamptz)
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off set timezone = 'UTC' as $$
#variable_conflict use_column
declare
  v_watermark bigint;
  v_open bigint[];
  v_pieces record;
begin
  -- Into variables first: the planner then sees constants instead of subqueries.
  select watermark, open_ticks into strict v_watermark, v_open from tasker.fold_state;
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
              or u.grain = 'f' and u.bucket_start >= v_pieces.fives_from and u.bucket_start < v_pieces.hours_from
              or u.grain = 'h' and u.bucket_start >= v_pieces.hours_from and u.bucket_start < v_pieces.quarters_from
              or u.grain = 'q' and u.bucket_start >= v_pieces.quarters_from and u.bucket_start < v_pieces.days_from
              or u.grain = 'd' and u.bucket_start >= v_pieces.days_from and u.bucket_start < v_pieces.days_to
              or u.grain = 'q' and u.bucket_start >= v_pieces.days_to and u.bucket_start < v_pieces.quarters_to
              or u.grain = 'h' and u.bucket_start >= v_pieces.quarters_to)
            and (p_ids is null or u.identity_id = any (p_ids))
        union all
        select f.identity_id, f.completed, f.failed, f.cancelled, f.resolved, f.skipped, f.blocked, f.reopened * (f.completed + f.failed),
            f.attempts * (f.completed + f.failed), f.failed_attempts * (f.completed + f.failed), f.duration_us * f.completed,
            f.duration_us * f.completed, f.duration_us * f.failed, f.dependency_wait_us * f.completed, f.queue_wait_us * f.completed,
            f.retry_us * f.completed, f.step_count * (f.completed + f.failed), f.failed_step_count * (f.completed + f.failed),
            case when f.completed + f.failed = 1 then f.ended_at end
          from tasker.window_facts(p_from, v_pieces.fives_from, v_watermark, v_open, p_ids) f) r
      group by r.identity_id;
end $$;

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
              or h.grain = 'f' and h.bucket_start >= v_pieces.fives_from and h.bucket_start < v_pieces.hours_from
              or h.grain = 'h' and h.bucket_start >= v_pieces.hours_from and h.bucket_start < v_pieces.quarters_from
              or h.grain = 'q' and h.bucket_start >= v_pieces.quarters_from and h.bucket_start < v_pieces.days_from
              or h.grain = 'd' and h.bucket_start >= v_pieces.days_from and h.bucket_start < v_pieces.days_to
              or h.grain = 'q' and h.bucket_start >= v_pieces.days_to and h.bucket_start < v_pieces.quarters_to
              or h.grain = 'h' and h.bucket_start >= v_pieces.quarters_to)
            and (p_ids is null or h.identity_id = any (p_ids))
        union all
        select f.identity_id, tasker.bucket_key(f.duration_us), 1
          from tasker.window_facts(p_from, v_pieces.fives_from, v_watermark, v_open, p_ids) f where f.completed = 1) r
      group by r.identity_id, r.key;
end $$;

-- Those of all steps together and of all tasks together.
create or replace function tasker.overall_window_histograms(p_from timestamptz, p_now timestamptz)
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
              or h.grain = 'f' and h.bucket_start >= v_pieces.fives_from and h.bucket_start < v_pieces.hours_from
              or h.grain = 'h' and h.bucket_start >= v_pieces.hours_from and h.bucket_start < v_pieces.quarters_from
              or h.grain = 'q' and h.bucket_start >= v_pieces.quarters_from and h.bucket_start < v_pieces.days_from
              or h.grain = 'd' and h.bucket_start >= v_pieces.days_from and h.bucket_start < v_pieces.days_to
              or h.grain = 'q' and h.bucket_start >= v_pieces.days_to and h.bucket_start < v_pieces.quarters_to
              or h.grain = 'h' and h.bucket_start >= v_pieces.quarters_to
        union all
        select f.is_task, tasker.bucket_key(f.duration_us), 1
          from tasker.window_facts(p_from, v_pieces.fives_from, v_watermark, v_open, null) f where f.completed = 1) r
      group by r.is_task, r.key;
end $$;

-- Percentiles (p50, p95, p99) of each identity's histogram in the window by nearest rank, in microseconds: the values of their buckets,
-- which a caller cuts to the exact maximum. Counts are summed as double precision, which is exact up to 2^53 and three times as fast.
create function tasker.window_percentiles(p_from timestamptz, p_now timestamptz, p_ids integer[])
returns table (identity_id integer, percentiles_us double precision[]) language sql stable as $$
  select h.identity_id, array[tasker.bucket_us(min(h.key) filter (where h.upto * 100 >= h.total * 50)),
      tasker.bucket_us(min(h.key) filter (where h.upto * 100 >= h.total * 95)),
      tasker.bucket_us(min(h.key) filter (where h.upto * 100 >= h.total * 99))]
    from (select x.identity_id, x.key, sum(x.n::double precision) over (partition by x.identity_id order by x.key) as upto,
        sum(x.n::double precision) over (partition by x.identity_id) as total
      from tasker.window_histograms(p_from, p_now, p_ids) x) h
    group by h.identity_id
$$;

-- Changes of the counts by state that are not folded. By a generic plan, as tasker.window_facts.
create function tasker.unfolded_changes(p_watermark bigint, p_open bigint[])
returns table (identity_id integer, subject text, state text, delta bigint, recorded_at timestamptz)
language plpgsql stable rows 100
set plan_cache_mode = force_generic_plan set jit = off set max_parallel_workers_per_gather = 0 set enable_seqscan = off
set enable_bitmapscan = off as $$
begin
  return query select d.identity_id, d.subject, d.state, d.delta::bigint, d.recorded_at from tasker.state_deltas d
    where d.tick >= p_watermark;
  return query select s.identity_id, s.subject, s.state, s.delta, e.first_at
    from (select f.identity_id, f.from_state, f.outcome, count(*) as n, min(f.ended_at) as first_at from tasker.ended f
      where f.tick >= p_watermark and f.from_state is not null group by 1, 2, 3) e
    cross join lateral tasker.changes_of_ends(e.identity_id, e.from_state, e.outcome, e.n) s;
  if p_open <> '{}' then
    return query select d.identity_id, d.subject, d.state, d.delta::bigint, d.recorded_at from tasker.state_deltas d
      where d.tick = any (p_open);
    return query select s.identity_id, s.subject, s.state, s.delta, e.first_at
      from (select f.identity_id, f.from_state, f.outcome, count(*) as n, min(f.ended_at) as first_at from tasker.ended f
        where f.tick = any (p_open) and f.from_state is not null group by 1, 2, 3) e
      cross join lateral tasker.changes_of_ends(e.identity_id, e.from_state, e.outcome, e.n) s;
  end if;
end $$;

create or replace function tasker.current_counts(p_ids integer[])
returns table (identity_id integer, subject text, state text, count bigint, first_at timestamptz)
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off as $$
#variable_conflict use_column
declare
  v_watermark bigint;
  v_open bigint[];
begin
  select watermark, open_ticks into strict v_watermark, v_open from tasker.fold_state;
  return query
    select c.identity_id, c.subject, c.state, sum(c.count)::bigint, min(c.first_at) from (
        select s.identity_id, s.subject, s.state, s.count, s.first_at from tasker.state_counts s
        union all
        select d.identity_id, d.subject, d.state, d.delta, d.recorded_at from tasker.unfolded_changes(v_watermark, v_open) d) c
      where p_ids is null or c.identity_id = any (p_ids)
      group by c.identity_id, c.subject, c.state;
end $$;
