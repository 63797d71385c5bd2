-- Folding that no transaction can stall. The fold keeps what it has seen: ticks up to a watermark, but for those of transactions
-- that were still open. One that stays open delays its own facts and nobody else's: they are folded when it has ended.

-- A fact is folded if its tick is below the watermark and not among open_ticks, and unfolded otherwise. The transactions of all
-- folded ticks had ended when they were folded. Ticks are those of top-level transactions, as are a snapshot's.
alter table tasker.fold_state add column open_ticks bigint[] not null default '{}';

-- The caller's snapshot in ticks: every transaction below `upto` has ended but for those in open_ticks. The caller's own
-- is among them: it may go on to write.
create function tasker.snapshot_ticks(out upto bigint, out open_ticks bigint[]) language sql stable as $$
  select pg_snapshot_xmax(snapshot)::text::bigint + base, array(
      select xid::text::bigint + base from pg_snapshot_xip(snapshot) xid
      union
      select own::text::bigint + base from pg_current_xact_id_if_assigned() own where own < pg_snapshot_xmax(snapshot)
      order by 1)
    from (select pg_current_snapshot() as snapshot, generation::bigint << 48 as base from tasker.tick_generation) s
$$;

-- Sums up facts and deltas with ticks in p_ended, or from p_from to below p_to and not in p_running. The caller holds the row of
-- fold_state. Returns how many there were. As the engine's functions it forbids the plans that suit empty tables.
create function tasker.fold_ticks(p_ended bigint[], p_from bigint, p_to bigint, p_running bigint[]) returns bigint
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
declare
  v_folded bigint;
begin
  with fresh as materialized (
    select *, date_trunc('hour', ended_at, 'UTC') as hour from (
      select * from tasker.ended where tick = any (p_ended)
      union all
      select * from tasker.ended where tick >= p_from and tick < p_to and tick <> all (p_running)) e),
  by_hour as (
    select identity_id, hour, sum(completed) as completed, sum(failed) as failed, sum(cancelled) as cancelled,
        sum(resolved) as resolved, sum(skipped) as skipped, sum(blocked) as blocked,
        sum(reopened * (completed + failed)) as reopened, sum(attempts * (completed + failed)) as attempts,
        sum(failed_attempts * (completed + failed)) as failed_attempts,
        sum(duration_us * completed) as duration_us, max(duration_us * completed) as max_duration_us,
        sum(duration_us * failed) as failed_duration_us, sum(dependency_wait_us * completed) as dependency_wait_us,
        sum(queue_wait_us * completed) as queue_wait_us, sum(retry_us * completed) as retry_us,
        sum(step_count * (completed + failed)) as step_count, sum(failed_step_count * (completed + failed)) as failed_step_count,
        max(ended_at) filter (where completed + failed = 1) as last_ended_at
      from fresh group by identity_id, hour),
  grains as (
    select g.grain, g.bucket, b.* from by_hour b cross join lateral (values
      ('h'::"char", b.hour), ('d'::"char", date_trunc('day', b.hour, 'UTC')), ('a'::"char", '-infinity'::timestamptz)) g(grain, bucket)),
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
      from (select identity_id, hour, tasker.bucket_key(duration_us) as key, count(*) as n from fresh where completed = 1
        group by 1, 2, 3) h
      cross join lateral (values ('h'::"char", h.hour), ('d'::"char", date_trunc('day', h.hour, 'UTC')),
        ('a'::"char", '-infinity'::timestamptz)) g(grain, bucket)
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
  changes as (
    select identity_id, subject, state, sum(delta) as delta, min(recorded_at) as first_at, count(*) as n
      from (
        select * from tasker.state_deltas where tick = any (p_ended)
        union all
        select * from tasker.state_deltas where tick >= p_from and tick < p_to and tick <> all (p_running)) d
      group by 1, 2, 3),
  counts as (
    insert into tasker.state_counts as c (identity_id, subject, state, count, first_at)
    select identity_id, subject, state, delta, first_at from changes
    on conflict (identity_id, subject, state) do update set count = c.count + excluded.count,
      first_at = least(c.first_at, excluded.first_at))
  select (select count(*) from fresh) + (select coalesce(sum(n), 0) from changes) into v_folded;

  return v_folded;
end $$;

-- Folds at most about p_rows facts and deltas (a single transaction's are never split) of transactions that have ended.
-- Returns how many it folded and whether more are waiting.
create or replace function tasker.fold(p_rows integer, out folded bigint, out more boolean) language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
declare
  v_from bigint;
  v_open bigint[];
  v_upto bigint;
  v_running bigint[];
  v_ended bigint[];
  v_cut bigint;
begin
  select watermark, open_ticks into strict v_from, v_open from tasker.fold_state for update;
  -- After the lock: a statement of its own, hence a snapshot in which the previous fold is visible. Later statements may see
  -- more; what this snapshot calls open they leave alone.
  select upto, open_ticks into strict v_upto, v_running from tasker.snapshot_ticks();
  v_ended := array(select t from unnest(v_open) t where t <> all (v_running));
  select greatest(max(tick) filter (where n = p_rows + 1), min(tick) + 1), count(*) > p_rows into v_cut, more from (
    select tick, row_number() over (order by tick) as n from (
      (select tick from tasker.step_facts where tick = any (v_ended) order by tick limit p_rows + 1)
      union all (select tick from tasker.task_facts where tick = any (v_ended) order by tick limit p_rows + 1)
      union all (select tick from tasker.state_deltas where tick = any (v_ended) order by tick limit p_rows + 1)
      union all (select tick from tasker.step_facts where tick >= v_from and tick < v_upto and tick <> all (v_running)
        order by tick limit p_rows + 1)
      union all (select tick from tasker.task_facts where tick >= v_from and tick < v_upto and tick <> all (v_running)
        order by tick limit p_rows + 1)
      union all (select tick from tasker.state_deltas where tick >= v_from and tick < v_upto and tick <> all (v_running)
        order by tick limit p_rows + 1)) t) x;
  if not more then
    v_cut := greatest(v_from, v_upto);
  end if;
  folded := tasker.fold_ticks(array(select t from unnest(v_ended) t where t < v_cut), v_from, v_cut, v_running);
  update tasker.fold_state set watermark = greatest(v_from, v_cut), folded_at = tasker.clock(),
    open_ticks = array(
      select t from unnest(v_open) t where t = any (v_running) or t >= v_cut
      union all
      select t from unnest(v_running) t where t >= v_from and t < v_cut);
end $$;

-- The readers: what a fold left open is unfolded, wherever its tick lies, and is looked up by its tick.

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
          from tasker.window_facts(p_from, v_pieces.hours_from, v_watermark, v_open, p_ids) f) r
      group by r.identity_id;
end $$;

drop function tasker.window_facts(timestamptz, timestamptz, bigint, integer[]);

-- The facts that no whole bucket answers for: folded ones before the first whole hour, and all that are not folded.
create function tasker.window_facts(p_from timestamptz, p_hours_from timestamptz, p_watermark bigint, p_open bigint[], p_ids integer[])
returns setof tasker.ended language sql stable as $$
  select * from tasker.ended e
    where e.tick >= p_watermark and (p_from is null or e.ended_at >= p_from) and (p_ids is null or e.identity_id = any (p_ids))
  union all
  select * from tasker.ended e
    where p_open <> '{}' and e.tick = any (p_open) and (p_from is null or e.ended_at >= p_from)
      and (p_ids is null or e.identity_id = any (p_ids))
  union all
  select * from tasker.ended e
    where e.tick < p_watermark and e.tick <> all (p_open) and e.ended_at >= p_from and e.ended_at < p_hours_from
      and (p_ids is null or e.identity_id = any (p_ids))
$$;

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
        select h.identity_id, u.key, u.n from tasker.rollup_histograms h cross join lateral unnest(h.keys, h.counts) u(key, n)
          where (p_from is null and h.grain = 'a'
              or h.grain = 'h' and h.bucket_start >= v_pieces.hours_from and h.bucket_start < v_pieces.days_from
              or h.grain = 'd' and h.bucket_start >= v_pieces.days_from and h.bucket_start < v_pieces.days_to
              or h.grain = 'h' and h.bucket_start >= v_pieces.days_to)
            and (p_ids is null or h.identity_id = any (p_ids))
        union all
        select f.identity_id, tasker.bucket_key(f.duration_us), 1
          from tasker.window_facts(p_from, v_pieces.hours_from, v_watermark, v_open, p_ids) f where f.completed = 1) r
      group by r.identity_id, r.key;
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
        select d.identity_id, d.subject, d.state, d.delta, d.recorded_at from tasker.state_deltas d where d.tick >= v_watermark
        union all
        select d.identity_id, d.subject, d.state, d.delta, d.recorded_at from tasker.state_deltas d
          where v_open <> '{}' and d.tick = any (v_open)) c
      where p_ids is null or c.identity_id = any (p_ids)
      group by c.identity_id, c.subject, c.state;
end $$;

-- Whether a partition of facts or deltas holds something that is not folded.
create function tasker.holds_unfolded(p_partition text) returns boolean language plpgsql volatile as $$
declare
  v_holds boolean;
begin
  execute format('select exists (select 1 from tasker.%1$I where tick >= s.watermark)
    or exists (select 1 from tasker.%1$I where tick = any (s.open_ticks)) from tasker.fold_state s', p_partition) into v_holds;
  return v_holds;
end $$;

-- Drops daily partitions that are past retention and hold nothing that is not folded yet. Not concurrently: Postgres refuses
-- that beside a DEFAULT partition. So it waits for its locks only shortly and leaves the rest to the next run. Whether something
-- is unfolded is asked again under them: a transaction that was open before may have committed meanwhile.
create or replace function tasker.drop_expired_partitions(p_days integer) returns text[] language plpgsql as $$
declare
  v_part record;
  v_dropped text[] := '{}';
begin
  perform set_config('lock_timeout', '500ms', true);
  for v_part in
    select c.relname as name, p.relname as parent from pg_inherits i
      join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
      where p.oid = any (array['tasker.step_facts', 'tasker.task_facts', 'tasker.state_deltas']::regclass[])
        and c.relname ~ '_[0-9]{8}$'
        and to_date(right(c.relname, 8), 'YYYYMMDD') + 1 <= ((tasker.clock() at time zone 'UTC')::date - p_days)
      order by c.relname loop
    continue when tasker.holds_unfolded(v_part.name);
    begin
      -- The parent first, as writers do.
      execute format('lock table only tasker.%I in access exclusive mode', v_part.parent);
      execute format('lock table tasker.%I in access exclusive mode', v_part.name);
      continue when tasker.holds_unfolded(v_part.name);
      execute format('drop table tasker.%I', v_part.name);
      v_dropped := v_dropped || v_part.name::text;
    exception when lock_not_available then
      exit;
    end;
  end loop;
  return v_dropped;
end $$;
