-- More grains. Windows of up to 48 hours begin at a minute, and the facts of up to an hour were added up one by one: most of an answer's
-- time. Now whole five minutes of that hour are rollups, too; and quarters of a day stand for the hours of a day that is not whole.

-- Grain 'f': five minutes, kept for some days. Grain 'q': six hours.
alter table tasker.rollups drop constraint grain_is_hour_day_or_all;
alter table tasker.rollups add constraint grain_is_known check (grain in ('f', 'h', 'q', 'd', 'a'));

-- A range of 128 pages, the default, is more than five minutes' facts. What is not summarised is scanned in whole.
drop index tasker.step_facts_ended_at;
drop index tasker.task_facts_ended_at;
create index step_facts_ended_at on tasker.step_facts using brin (ended_at) with (pages_per_range = 16, autosummarize = on);
create index task_facts_ended_at on tasker.task_facts using brin (ended_at) with (pages_per_range = 16, autosummarize = on);

-- The beginning of the five minutes of a time.
create function tasker.five_minutes_of(p_at timestamptz) returns timestamptz language sql immutable as $$
  select date_bin(interval '5 minutes', p_at, timestamptz '1970-01-01 00:00:00+00')
$$;

-- The beginning of the quarter of its UTC day, six hours long.
create function tasker.quarter_day_of(p_at timestamptz) returns timestamptz language sql immutable as $$
  select date_bin(interval '6 hours', p_at, timestamptz '1970-01-01 00:00:00+00')
$$;

-- From when on there are five minutes of everything that is folded; only ever moves on. A database that has no facts yet drops none.
alter table tasker.fold_state add column fives_from timestamptz not null default '-infinity';
update tasker.fold_state set fives_from = tasker.five_minutes_of(tasker.clock() - interval '72 hours')
  where exists (select from tasker.step_facts) or exists (select from tasker.task_facts);

-- The buckets that something belongs to, by the beginning of its five minutes.
create function tasker.buckets_of(p_five timestamptz, p_fives_from timestamptz) returns table (grain "char", bucket timestamptz)
language sql immutable as $$
  select * from (values ('f'::"char", p_five), ('h', date_trunc('hour', p_five, 'UTC')), ('q', tasker.quarter_day_of(p_five)),
      ('d', date_trunc('day', p_five, 'UTC')), ('a', '-infinity'::timestamptz)) g(grain, bucket)
    where grain <> 'f' or bucket >= p_fives_from
$$;

-- Sums up facts and deltas with ticks in p_ended, or from p_from to below p_to and not in p_running. The caller holds the row of
-- fold_state. Returns how many there were. As the engine's functions it forbids the plans that suit empty tables.
create or replace function tasker.fold_ticks(p_ended bigint[], p_from bigint, p_to bigint, p_running bigint[]) returns bigint
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
declare
  v_folded bigint;
  v_fives_from timestamptz;
begin
  select fives_from into strict v_fives_from from tasker.fold_state;
  with fresh as materialized (
    select *, tasker.five_minutes_of(ended_at) as five from (
      select * from tasker.ended where tick = any (p_ended)
      union all
      select * from tasker.ended where tick >= p_from and tick < p_to and tick <> all (p_running)) e),
  by_five as (
    select identity_id, five, sum(completed) as completed, sum(failed) as failed, sum(cancelled) as cancelled,
        sum(resolved) as resolved, sum(skipped) as skipped, sum(blocked) as blocked,
        sum(reopened * (completed + failed)) as reopened, sum(attempts * (completed + failed)) as attempts,
        sum(failed_attempts * (completed + failed)) as failed_attempts,
        sum(duration_us * completed) as duration_us, max(duration_us * completed) as max_duration_us,
        sum(duration_us * failed) as failed_duration_us, sum(dependency_wait_us * completed) as dependency_wait_us,
        sum(queue_wait_us * completed) as queue_wait_us, sum(retry_us * completed) as retry_us,
        sum(step_count * (completed + failed)) as step_count, sum(failed_step_count * (completed + failed)) as failed_step_count,
        max(ended_at) filter (where completed + failed = 1) as last_ended_at
      from fresh group by identity_id, five),
  grains as (
    select g.grain, g.bucket, b.* from by_five b cross join lateral tasker.buckets_of(b.five, v_fives_from) g),
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
      from (select identity_id, five, tasker.bucket_key(duration_us) as key, count(*) as n from fresh where completed = 1
        group by 1, 2, 3) f
      cross join lateral tasker.buckets_of(f.five, v_fives_from) g
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
      from (select is_task, five, tasker.bucket_key(duration_us) as key, count(*) as n from fresh where completed = 1
        group by 1, 2, 3) f
      cross join lateral tasker.buckets_of(f.five, v_fives_from) g
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

-- Makes the five minutes anew from the folded facts: of a database from before they were kept. Nothing is folded meanwhile.
create function tasker.rebuild_five_minutes() returns void language plpgsql set jit = off set timezone = 'UTC' as $$
declare
  v_watermark bigint;
  v_open bigint[];
  v_from timestamptz;
begin
  select watermark, open_ticks, fives_from into strict v_watermark, v_open, v_from from tasker.fold_state for update;
  delete from tasker.rollups where grain = 'f';
  delete from tasker.rollup_histograms where grain = 'f';
  delete from tasker.overall_histograms where grain = 'f';
  insert into tasker.rollups (grain, bucket_start, identity_id, completed, failed, cancelled, resolved, skipped, blocked,
    reopened, attempts, failed_attempts, duration_us, max_duration_us, failed_duration_us, dependency_wait_us, queue_wait_us,
    retry_us, step_count, failed_step_count, last_ended_at)
  select 'f', tasker.five_minutes_of(ended_at), identity_id, sum(completed), sum(failed), sum(cancelled), sum(resolved), sum(skipped),
      sum(blocked), sum(reopened * (completed + failed)), sum(attempts * (completed + failed)),
      sum(failed_attempts * (completed + failed)), sum(duration_us * completed), max(duration_us * completed),
      sum(duration_us * failed), sum(dependency_wait_us * completed), sum(queue_wait_us * completed), sum(retry_us * completed),
      sum(step_count * (completed + failed)), sum(failed_step_count * (completed + failed)),
      max(ended_at) filter (where completed + failed = 1)
    from tasker.ended where ended_at >= v_from and tick < v_watermark and tick <> all (v_open) group by 2, 3;
  insert into tasker.rollup_histograms (grain, bucket_start, identity_id, keys, counts)
    select 'f', five, identity_id, array_agg(key order by key), array_agg(n order by key) from (
        select tasker.five_minutes_of(ended_at) as five, identity_id, tasker.bucket_key(duration_us) as key, count(*) as n
          from tasker.ended where ended_at >= v_from and tick < v_watermark and tick <> all (v_open) and completed = 1 group by 1, 2, 3) x
      group by 2, 3;
  insert into tasker.overall_histograms (grain, bucket_start, is_task, keys, counts)
    select 'f', bucket_start, is_task, array_agg(key order by key), array_agg(n order by key) from (
        select h.bucket_start, i.step_name is null as is_task, u.key, sum(u.n)::bigint as n
          from tasker.rollup_histograms h join tasker.analytics_identities i on i.id = h.identity_id
          cross join lateral unnest(h.keys, h.counts) u(key, n) where h.grain = 'f' group by 1, 2, 3) x
      group by 2, 3;
end $$;

select tasker.rebuild_five_minutes();

-- Makes the quarter days anew from the hours: of a database from before they were kept, and after `tasker seed-history`. Nothing is
-- folded meanwhile.
create function tasker.rebuild_quarter_days() returns void language plpgsql set jit = off set timezone = 'UTC' as $$
begin
  perform from tasker.fold_state for update;
  delete from tasker.rollups where grain = 'q';
  delete from tasker.rollup_histograms where grain = 'q';
  delete from tasker.overall_histograms where grain = 'q';
  insert into tasker.rollups (grain, bucket_start, identity_id, completed, failed, cancelled, resolved, skipped, blocked,
    reopened, attempts, failed_attempts, duration_us, max_duration_us, failed_duration_us, dependency_wait_us, queue_wait_us,
    retry_us, step_count, failed_step_count, last_ended_at)
  select 'q', tasker.quarter_day_of(bucket_start), identity_id, sum(completed), sum(failed), sum(cancelled), sum(resolved), sum(skipped),
      sum(blocked), sum(reopened), sum(attempts), sum(failed_attempts), sum(duration_us), max(max_duration_us), sum(failed_duration_us),
      sum(dependency_wait_us), sum(queue_wait_us), sum(retry_us), sum(step_count), sum(failed_step_count), max(last_ended_at)
    from tasker.rollups where grain = 'h' group by 2, 3;
  insert into tasker.rollup_histograms (grain, bucket_start, identity_id, keys, counts)
    select 'q', quarter, identity_id, array_agg(key order by key), array_agg(n order by key) from (
        select quarter, identity_id, key, sum(n)::bigint as n from (
            select tasker.quarter_day_of(bucket_start) as quarter, identity_id, unnest(keys) as key, unnest(counts) as n
              from tasker.rollup_histograms where grain = 'h') u
          group by 1, 2, 3) x
      group by 2, 3;
  insert into tasker.overall_histograms (grain, bucket_start, is_task, keys, counts)
    select 'q', quarter, is_task, array_agg(key order by key), array_agg(n order by key) from (
        select quarter, is_task, key, sum(n)::bigint as n from (
            select tasker.quarter_day_of(bucket_start) as quarter, is_task, unnest(keys) as key, unnest(counts) as n
              from tasker.overall_histograms where grain = 'h') u
          group by 1, 2, 3) x
      group by 2, 3;
end $$;

select tasker.rebuild_quarter_days();

-- Windows that begin within an hour reach back 49 hours at most; a day more is for a clock that is set back.
create function tasker.drop_expired_five_minutes() returns void language plpgsql as $$
declare
  v_from timestamptz;
begin
  update tasker.fold_state set fives_from = greatest(fives_from, tasker.five_minutes_of(tasker.clock() - interval '72 hours'))
    returning fives_from into strict v_from;
  delete from tasker.rollups where grain = 'f' and bucket_start < v_from;
  delete from tasker.rollup_histograms where grain = 'f' and bucket_start < v_from;
  delete from tasker.overall_histograms where grain = 'f' and bucket_start < v_from;
end $$;
