-- What the analytics cost the engine. The end of a life wrote a fact and, for what it changes in the counts by state, two deltas;
-- now the fact says which state the life came from, and the counts are read from it. A completion writes half as much.

-- The state before. Null: the fact was written before this column was, and its deltas stand in state_deltas.
alter table tasker.step_facts add column from_state tasker.step_state;
alter table tasker.task_facts add column from_state tasker.task_state;

-- Logs steps whose rows just changed from `p_from[i]` to the state they have now: a transition each; a fact for each life that
-- ended; a delta per template and state for the others. It runs in the transaction of the change, hence exactly once per change.
create or replace function tasker.log_step_changes(p_ids uuid[], p_from tasker.step_state[], p_at timestamptz, p_actor text, p_reason text)
returns void language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
declare
  v_tick bigint;
  v_ended integer;
begin
  if coalesce(cardinality(p_ids), 0) = 0 then
    return;
  end if;
  v_tick := tasker.tick();
  with changed as materialized (
    select s.*, f.from_state from unnest(p_ids, p_from) f(id, from_state) join tasker.workflow_steps s on s.id = f.id),
  logged as (
    insert into tasker.workflow_step_transitions (step_id, from_state, to_state, life, attempt, actor, reason, recorded_at)
    select id, from_state, state, life, attempt, p_actor, p_reason, p_at from changed)
  insert into tasker.step_facts (ended_at, tick, dependency_wait_us, queue_wait_us, retry_us, run_us, task_id, identity_id,
    attempts, failed_attempts, outcome, reopened, from_state)
  select finished_at, v_tick, dependency_wait, life_time - dependency_wait - retry - run, retry, run, task_id, named_step_id,
      attempt, failed_attempts, state, life > 1, from_state
    from changed
    cross join lateral (select
      tasker.microseconds(finished_at - life_started_at) as life_time,
      tasker.microseconds(least(ready_at, finished_at) - life_started_at) as dependency_wait,
      tasker.microseconds(coalesce(started_at - first_started_at, interval '0')) as retry,
      coalesce(run_us, 0) as run) parts
    where finished_at is not null;
  get diagnostics v_ended = row_count;
  -- A statement more costs as much as a few rows: not for nothing.
  if v_ended < cardinality(p_ids) then
    insert into tasker.state_deltas (recorded_at, tick, identity_id, delta, subject, state)
    select p_at, v_tick, named_task_id, sum(d)::integer, 'step', st::text
      from (select s.named_task_id, f.from_state, s.state
        from unnest(p_ids, p_from) f(id, from_state) join tasker.workflow_steps s on s.id = f.id
        where s.finished_at is null) changed
      cross join lateral (values (from_state, -1), (state, 1)) x(st, d)
      group by named_task_id, st having sum(d) <> 0;
  end if;
end $$;

-- The same for tasks.
create or replace function tasker.log_task_changes(p_ids uuid[], p_from tasker.task_state[], p_at timestamptz, p_actor text, p_reason text)
returns void language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
declare
  v_tick bigint;
  v_ended integer;
begin
  if coalesce(cardinality(p_ids), 0) = 0 then
    return;
  end if;
  v_tick := tasker.tick();
  with changed as materialized (
    select t.*, f.from_state from unnest(p_ids, p_from) f(id, from_state) join tasker.tasks t on t.id = f.id),
  logged as (
    insert into tasker.task_transitions (task_id, from_state, to_state, life, actor, reason, recorded_at)
    select id, from_state, state, life, p_actor, p_reason, p_at from changed)
  insert into tasker.task_facts (ended_at, tick, duration_us, task_id, identity_id, step_count, failed_step_count, outcome,
    reopened, from_state)
  select ended_at, v_tick, tasker.microseconds(ended_at - life_started_at), id, named_task_id, step_count, failed_steps, state,
      life > 1, from_state
    from changed where ended_at is not null;
  get diagnostics v_ended = row_count;
  if v_ended < cardinality(p_ids) then
    insert into tasker.state_deltas (recorded_at, tick, identity_id, delta, subject, state)
    select p_at, v_tick, named_task_id, sum(d)::integer, 'task', st::text
      from (select t.named_task_id, f.from_state, t.state
        from unnest(p_ids, p_from) f(id, from_state) join tasker.tasks t on t.id = f.id
        where t.ended_at is null) changed
      cross join lateral (values (from_state, -1), (state, 1)) x(st, d)
      where st is not null group by named_task_id, st having sum(d) <> 0;
  end if;
end $$;

-- The facts of both kinds in one shape.
create or replace view tasker.ended as
  select identity_id, ended_at, tick, task_id,
      (outcome = 'complete')::integer as completed, (outcome = 'error')::integer as failed,
      (outcome = 'cancelled')::integer as cancelled, (outcome = 'resolved_manually')::integer as resolved,
      (outcome = 'skipped')::integer as skipped, (outcome = 'blocked')::integer as blocked,
      reopened::integer as reopened, attempts, failed_attempts, run_us as duration_us,
      dependency_wait_us, queue_wait_us, retry_us, 0 as step_count, 0 as failed_step_count,
      from_state::text as from_state, outcome::text as outcome
    from tasker.step_facts
  union all
  select identity_id, ended_at, tick, task_id,
      (outcome = 'complete')::integer, (outcome = 'error')::integer,
      (outcome = 'cancelled')::integer, (outcome = 'resolved_manually')::integer, 0, 0,
      reopened::integer, 0, 0, duration_us, 0, 0, 0, step_count, failed_step_count, from_state::text, outcome::text
    from tasker.task_facts;

-- What p_n ends of lives, from one state to another, change in the counts of their template. p_identity is a template's or a step's.
create function tasker.changes_of_ends(p_identity integer, p_from text, p_to text, p_n bigint)
returns table (identity_id integer, subject text, state text, delta bigint) language sql stable as $$
  select coalesce(s.named_task_id, i.id), case when s.id is null then 'task' else 'step' end, c.state, c.delta
    from (values (p_identity)) i(id)
    left join tasker.named_steps s on s.id = i.id
    cross join (values (p_from, -p_n), (p_to, p_n)) c(state, delta)
$$;

-- Sums up facts and deltas with ticks in p_ended, or from p_from to below p_to and not in p_running. The caller holds the row of
-- fold_state. Returns how many there were. As the engine's functions it forbids the plans that suit empty tables.
create or replace function tasker.fold_ticks(p_ended bigint[], p_from bigint, p_to bigint, p_running bigint[]) returns bigint
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

-- The counts as of now: those that are folded, and what is not folded yet.
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
          where v_open <> '{}' and d.tick = any (v_open)
        union all
        select s.identity_id, s.subject, s.state, s.delta, e.first_at
          from (select f.identity_id, f.from_state, f.outcome, count(*) as n, min(f.ended_at) as first_at from (
              select u.identity_id, u.from_state, u.outcome, u.ended_at from tasker.ended u where u.tick >= v_watermark
              union all
              select u.identity_id, u.from_state, u.outcome, u.ended_at from tasker.ended u
                where v_open <> '{}' and u.tick = any (v_open)) f
            where f.from_state is not null group by 1, 2, 3) e
          cross join lateral tasker.changes_of_ends(e.identity_id, e.from_state, e.outcome, e.n) s) c
      where p_ids is null or c.identity_id = any (p_ids)
      group by c.identity_id, c.subject, c.state;
end $$;
