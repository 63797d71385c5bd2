-- Folding: sums facts and deltas up into rollups and counts, each exactly once.

-- The histogram's bucket of a duration: zero has one of its own, the others grow by gamma = 1.01 / 0.99, so that the
-- representative value below is within 1 % of every duration in the bucket.
create function tasker.bucket_key(p_us bigint) returns integer language sql immutable parallel safe as $$
  select case when p_us <= 0 then -1 else ceil(ln(p_us::double precision) / ln(1.01::double precision / 0.99))::integer end
$$;

create function tasker.bucket_us(p_key integer) returns double precision language sql immutable parallel safe as $$
  select case when p_key < 0 then 0 else 2 * power(1.01::double precision / 0.99, p_key) / (1.01::double precision / 0.99 + 1) end
$$;

-- The ends of steps and tasks as one list in the rollups' words. Only readers and the folder use it.
create view tasker.ended as
  select identity_id, ended_at, tick, task_id,
      (outcome = 'complete')::integer as completed, (outcome = 'error')::integer as failed,
      (outcome = 'cancelled')::integer as cancelled, (outcome = 'resolved_manually')::integer as resolved,
      (outcome = 'skipped')::integer as skipped, (outcome = 'blocked')::integer as blocked,
      reopened::integer as reopened, attempts, failed_attempts, run_us as duration_us,
      dependency_wait_us, queue_wait_us, retry_us, 0 as step_count, 0 as failed_step_count
    from tasker.step_facts
  union all
  select identity_id, ended_at, tick, task_id,
      (outcome = 'complete')::integer, (outcome = 'error')::integer,
      (outcome = 'cancelled')::integer, (outcome = 'resolved_manually')::integer, 0, 0,
      reopened::integer, 0, 0, duration_us, 0, 0, 0, step_count, failed_step_count
    from tasker.task_facts;

-- Folds at most about p_rows facts and deltas (a single transaction's are never split) and moves the watermark past them.
-- Returns how many it folded and whether more are waiting below the horizon.
create function tasker.fold(p_rows integer, out folded bigint, out more boolean) language plpgsql as $$
declare
  v_from bigint;
  v_horizon bigint;
  v_cut bigint;
begin
  select watermark into strict v_from from tasker.fold_state for update;
  -- After the lock: a statement of its own, hence a snapshot in which the previous fold is visible.
  v_horizon := tasker.horizon();
  select greatest(max(tick) filter (where n = p_rows + 1), min(tick) + 1), count(*) > p_rows into v_cut, more from (
    select tick, row_number() over (order by tick) as n from (
      (select tick from tasker.step_facts where tick >= v_from and tick < v_horizon order by tick limit p_rows + 1)
      union all (select tick from tasker.task_facts where tick >= v_from and tick < v_horizon order by tick limit p_rows + 1)
      union all (select tick from tasker.state_deltas where tick >= v_from and tick < v_horizon order by tick limit p_rows + 1)) t) x;
  if not more then
    v_cut := v_horizon;
  end if;

  with fresh as materialized (
    select *, date_trunc('hour', ended_at, 'UTC') as hour from tasker.ended where tick >= v_from and tick < v_cut),
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
      from tasker.state_deltas where tick >= v_from and tick < v_cut group by 1, 2, 3),
  counts as (
    insert into tasker.state_counts as c (identity_id, subject, state, count, first_at)
    select identity_id, subject, state, delta, first_at from changes
    on conflict (identity_id, subject, state) do update set count = c.count + excluded.count,
      first_at = least(c.first_at, excluded.first_at))
  select (select count(*) from fresh) + (select coalesce(sum(n), 0) from changes) into folded;

  update tasker.fold_state set watermark = v_cut, folded_at = tasker.clock();
end $$;

-- Drops daily partitions that are past retention and hold nothing that is not folded yet. Not concurrently: Postgres refuses
-- that beside a DEFAULT partition. So it waits for the lock only shortly and leaves the rest to the next run.
create function tasker.drop_expired_partitions(p_days integer) returns text[] language plpgsql as $$
declare
  v_part record;
  v_unfolded boolean;
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
    execute format('select exists (select 1 from tasker.%I where tick >= (select watermark from tasker.fold_state))', v_part.name)
      into v_unfolded;
    continue when v_unfolded;
    begin
      execute format('drop table tasker.%I', v_part.name);
      v_dropped := v_dropped || v_part.name::text;
    exception when lock_not_available then
      exit;
    end;
  end loop;
  return v_dropped;
end $$;

-- Rows that lie in DEFAULT partitions: there should be none, and an alarm says so when there are.
create function tasker.default_partition_rows() returns bigint language sql stable as $$
  select (select count(*) from tasker.step_facts_default) + (select count(*) from tasker.task_facts_default)
    + (select count(*) from tasker.state_deltas_default) + (select count(*) from tasker.task_transitions_default)
    + (select count(*) from tasker.workflow_step_transitions_default)
$$;
