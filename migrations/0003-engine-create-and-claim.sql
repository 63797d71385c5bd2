-- The engine's transitions as functions: one round trip each, and every statement after the lock sees what was
-- committed before it was granted. Lock order everywhere: task rows by id, then step rows by id.
--
-- Each reaches a few rows by their keys, in tables of any size. A session keeps the plans it made first, maybe while the
-- tables were empty: those that suit small tables cost 10 to 100 times as much at 5,000 queued steps, so the functions forbid
-- them (jit, because a forbidden node that is used all the same looks dear). And since the values make no difference to such
-- plans they are made once: to plan each call anew takes as long as to run it.

create function tasker.microseconds(p_interval interval) returns bigint language sql immutable as $$
  select (extract(epoch from p_interval) * 1000000)::bigint
$$;

-- Logs steps whose rows just changed from `p_from[i]` to the state they have now: a transition each, a delta per template
-- and state, a fact for each life that ended. It runs in the transaction of the change, hence exactly once per change.
create function tasker.log_step_changes(p_ids uuid[], p_from tasker.step_state[], p_at timestamptz, p_actor text, p_reason text)
returns void language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
declare
  v_tick bigint := tasker.tick();
begin
  if coalesce(cardinality(p_ids), 0) = 0 then
    return;
  end if;
  with changed as materialized (
    select s.*, f.from_state from unnest(p_ids, p_from) f(id, from_state) join tasker.workflow_steps s on s.id = f.id),
  logged as (
    insert into tasker.workflow_step_transitions (step_id, from_state, to_state, life, attempt, actor, reason, recorded_at)
    select id, from_state, state, life, attempt, p_actor, p_reason, p_at from changed),
  counted as (
    insert into tasker.state_deltas (recorded_at, tick, identity_id, delta, subject, state)
    select p_at, v_tick, named_task_id, sum(d)::integer, 'step', st::text
      from (select named_task_id, from_state as st, -1 as d from changed union all select named_task_id, state, 1 from changed) x
      group by named_task_id, st having sum(d) <> 0)
  insert into tasker.step_facts (ended_at, tick, dependency_wait_us, queue_wait_us, retry_us, run_us, task_id, identity_id,
    attempts, failed_attempts, outcome, reopened)
  select finished_at, v_tick, dependency_wait, life_time - dependency_wait - retry - run, retry, run, task_id, named_step_id,
      attempt, failed_attempts, state, life > 1
    from changed
    cross join lateral (select
      tasker.microseconds(finished_at - life_started_at) as life_time,
      tasker.microseconds(least(ready_at, finished_at) - life_started_at) as dependency_wait,
      tasker.microseconds(coalesce(started_at - first_started_at, interval '0')) as retry,
      coalesce(run_us, 0) as run) parts
    where finished_at is not null;
end $$;

-- The same for tasks.
create function tasker.log_task_changes(p_ids uuid[], p_from tasker.task_state[], p_at timestamptz, p_actor text, p_reason text)
returns void language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
declare
  v_tick bigint := tasker.tick();
begin
  if coalesce(cardinality(p_ids), 0) = 0 then
    return;
  end if;
  with changed as materialized (
    select t.*, f.from_state from unnest(p_ids, p_from) f(id, from_state) join tasker.tasks t on t.id = f.id),
  logged as (
    insert into tasker.task_transitions (task_id, from_state, to_state, life, actor, reason, recorded_at)
    select id, from_state, state, life, p_actor, p_reason, p_at from changed),
  counted as (
    insert into tasker.state_deltas (recorded_at, tick, identity_id, delta, subject, state)
    select p_at, v_tick, named_task_id, sum(d)::integer, 'task', st::text
      from (select named_task_id, from_state as st, -1 as d from changed union all select named_task_id, state, 1 from changed) x
      where st is not null group by named_task_id, st having sum(d) <> 0)
  insert into tasker.task_facts (ended_at, tick, duration_us, task_id, identity_id, step_count, failed_step_count, outcome, reopened)
  select ended_at, v_tick, tasker.microseconds(ended_at - life_started_at), id, named_task_id, step_count, failed_steps, state, life > 1
    from changed where ended_at is not null;
end $$;

-- Creates tasks of one template. p_tasks: [{id, input, input_checked, idempotency_key, correlation_id, tags, priority, run_at}];
-- p_step_ids: their step ids, task by task in the order of the revision's steps. Returns a row per task: 'created',
-- 'existing' (its idempotency key was used with the same input: the first task's id) or 'conflict' (with another input);
-- or the single row 'stale_revision', and nothing is written, when p_revision_id is not the template's current one. The
-- share lock makes a registration wait for creations under way: after it returned, none uses the old revision.
create function tasker.create_tasks(p_named_task_id integer, p_revision_id integer, p_tasks jsonb, p_step_ids uuid[])
returns table (ordinal integer, task_id uuid, outcome text) language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
#variable_conflict use_column
declare
  v_at timestamptz;
  v_tick bigint;
  v_created uuid[];
  v_revision tasker.named_task_revisions;
  v_size integer;
  v_roots integer;
  v_are_all_new boolean;
begin
  perform 1 from tasker.named_tasks where id = p_named_task_id and current_revision_id = p_revision_id for share;
  if not found then
    return query select 0, null::uuid, 'stale_revision'::text;
    return;
  end if;
  select * into strict v_revision from tasker.named_task_revisions where id = p_revision_id;
  v_size := cardinality(v_revision.step_ids);
  v_roots := v_size - (select count(distinct child) from unnest(v_revision.edge_children) child);
  v_tick := tasker.tick();
  v_at := tasker.clock();

  with created as (
    -- In key order, so that two batches with the same keys wait for each other instead of deadlocking.
    insert into tasker.tasks (id, named_task_id, revision_id, input, input_checked, idempotency_key, correlation_id, tags, priority,
      run_at, step_count, unfinished_steps, runnable_steps, created_at, life_started_at, changed_at)
    select t.id, p_named_task_id, p_revision_id, coalesce(t.input, 'null'), coalesce(t.input_checked, false), t.idempotency_key, t.correlation_id,
        coalesce(t.tags, '{}'), coalesce(t.priority, 0), t.run_at, v_size, v_size, v_roots, v_at, v_at, v_at
      from jsonb_to_recordset(p_tasks) as t(id uuid, input jsonb, input_checked boolean, idempotency_key text, correlation_id text,
        tags text[], priority smallint, run_at timestamptz)
      order by t.idempotency_key, t.id
      on conflict (named_task_id, idempotency_key) where idempotency_key is not null do nothing
      returning id)
  select coalesce(array_agg(id), '{}') into v_created from created;
  v_are_all_new := cardinality(v_created) = jsonb_array_length(p_tasks);

  with input as (
    select t.id, coalesce(t.priority, 0) as priority, t.run_at, t.ord
      from rows from (jsonb_to_recordset(p_tasks) as (id uuid, priority smallint, run_at timestamptz))
        with ordinality t(id, priority, run_at, ord)
      where v_are_all_new or t.id = any (v_created)),
  positions as (
    -- A row for the step itself and one for each of its parents.
    select x.position, max(x.named_step_id) as named_step_id, count(*)::integer - 1 as unmet from (
        select s.position, s.named_step_id from unnest(v_revision.step_ids) with ordinality s(named_step_id, position)
        union all
        select e.child, null from unnest(v_revision.edge_children) e(child)) x
      group by x.position)
  insert into tasker.workflow_steps (id, task_id, named_task_id, named_step_id, state, priority, run_at, available_at, ready_at,
    unmet_dependencies, created_at, life_started_at)
  select p_step_ids[(i.ord - 1) * v_size + p.position], i.id, p_named_task_id, p.named_step_id,
      case when p.unmet = 0 then 'enqueued' else 'pending' end::tasker.step_state, i.priority, i.run_at,
      -- A step that is to start later is ready then: the delay was asked for, nobody waited for a worker.
      case when p.unmet = 0 then greatest(v_at, i.run_at) end, case when p.unmet = 0 then greatest(v_at, i.run_at) end,
      p.unmet, v_at, v_at
    from input i cross join positions p;

  insert into tasker.workflow_step_edges (parent_step_id, child_step_id)
  select p_step_ids[(i.ord - 1) * v_size + e.parent], p_step_ids[(i.ord - 1) * v_size + e.child]
    from rows from (jsonb_to_recordset(p_tasks) as (id uuid)) with ordinality i(id, ord)
    cross join unnest(v_revision.edge_parents, v_revision.edge_children) e(parent, child)
    where v_are_all_new or i.id = any (v_created);

  perform tasker.log_task_changes(v_created, array_fill(null::tasker.task_state, array[cardinality(v_created)]), v_at, null, null);
  insert into tasker.state_deltas (recorded_at, tick, identity_id, delta, subject, state)
  select v_at, v_tick, p_named_task_id, n * cardinality(v_created), 'step', st
    from (values ('enqueued', v_roots), ('pending', v_size - v_roots)) x(st, n)
    where n * cardinality(v_created) > 0;

  return query
    select i.ord::integer, coalesce(first.id, i.id),
        case when i.key is null or first.id = i.id then 'created'
             when first.input = i.input then 'existing' else 'conflict' end
      from (select (t.value ->> 'id')::uuid as id, t.value ->> 'idempotency_key' as key,
          coalesce(t.value -> 'input', 'null') as input, t.ordinality as ord from jsonb_array_elements(p_tasks) with ordinality t) i
      left join lateral (
        select t.id, t.input from tasker.tasks t where t.named_task_id = p_named_task_id and t.idempotency_key = i.key limit 1) first on true
      order by i.ord;
end $$;

-- Moves tasks whose first step was claimed to in_progress. It never waits: claims lock steps first, so waiting for a task
-- row here could deadlock with a batch that holds it. A task that is skipped now is moved by whoever holds its row, or
-- at the latest by its first result.
create function tasker.start_tasks(p_task_ids uuid[], p_at timestamptz) returns void language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
declare
  v_started uuid[];
begin
  with free as (
    select id from tasker.tasks where id = any (p_task_ids) and state = 'pending' order by id for no key update skip locked),
  started as (
    update tasker.tasks t set state = 'in_progress', changed_at = greatest(t.changed_at, p_at) from free where t.id = free.id
    returning t.id)
  select array_agg(id) into v_started from started;
  if v_started is not null then
    perform tasker.log_task_changes(v_started, array_fill('pending'::tasker.task_state, array[cardinality(v_started)]), p_at, null, null);
  end if;
end $$;

-- Claims up to p_limit steps for which the worker has a handler (p_named_step_ids), by priority, then by age.
create function tasker.claim_steps(p_worker uuid, p_named_step_ids integer[], p_limit integer, p_lease_ms integer)
returns table (step_id uuid, task_id uuid, named_step_id integer, revision_id integer, life integer, attempt integer,
  failed_attempts integer, input jsonb, input_checked boolean, results jsonb, correlation_id text)
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off set enable_sort = off as $$
#variable_conflict use_column
declare
  v_now timestamptz := tasker.clock();
  v_first integer;
  v_last integer;
  v_ids uuid[];
  v_from tasker.step_state[];
  v_tasks uuid[];
begin
  select min(k), max(k) into v_first, v_last from unnest(p_named_step_ids) k;
  with candidates as materialized (
    select id, state, priority, available_at from tasker.workflow_steps
      where state in ('enqueued', 'waiting_for_retry') and available_at <= v_now and named_step_id = any (p_named_step_ids)
        -- Before Postgres 17 an ordered scan tests only such comparisons in the index.
        and named_step_id between v_first and v_last
      order by priority desc, available_at, id limit p_limit for update skip locked),
  claimed as (
    update tasker.workflow_steps s set state = 'in_progress', lease_owner = p_worker, available_at = null, run_us = null,
        lease_expires_at = v_now + p_lease_ms * interval '1 millisecond', attempt = s.attempt + 1,
        started_at = greatest(coalesce(s.started_at, s.ready_at), v_now),
        first_started_at = coalesce(s.first_started_at, greatest(s.ready_at, v_now))
      from candidates c where s.id = c.id returning s.id, s.task_id, c.state, c.priority, c.available_at)
  select array_agg(id order by priority desc, available_at, id), array_agg(state order by priority desc, available_at, id),
      array_agg(distinct task_id)
    into v_ids, v_from, v_tasks from claimed;
  if v_ids is null then
    return;
  end if;
  perform tasker.log_step_changes(v_ids, v_from, v_now, 'worker:' || p_worker, null);
  perform tasker.start_tasks(v_tasks, v_now);
  return query
    select s.id, s.task_id, s.named_step_id, t.revision_id, s.life, s.attempt, s.failed_attempts, t.input, t.input_checked, parents.results,
        t.correlation_id
      from unnest(v_ids) with ordinality c(id, n)
      join tasker.workflow_steps s on s.id = c.id
      join tasker.tasks t on t.id = s.task_id
      left join lateral (
        select jsonb_object_agg(n.name, r.output) as results
          from tasker.workflow_step_edges e
          join tasker.workflow_steps p on p.id = e.parent_step_id
          join tasker.named_steps n on n.id = p.named_step_id
          left join tasker.workflow_step_results r on r.step_id = p.id and r.succeeded
          where e.child_step_id = s.id) parents on true
      order by c.n;
end $$;

-- Prolongs the leases a worker still holds and returns their steps; the others are lost, and their handlers must stop.
create function tasker.renew_leases(p_worker uuid, p_step_ids uuid[], p_lives integer[], p_attempts integer[], p_lease_ms integer)
returns setof uuid language sql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
  with held as (
    select s.id from unnest(p_step_ids, p_lives, p_attempts) i(id, life, attempt)
      join tasker.workflow_steps s on s.id = i.id and s.life = i.life and s.attempt = i.attempt
      where s.lease_owner = p_worker order by s.id for no key update of s)
  update tasker.workflow_steps s set lease_expires_at = tasker.clock() + p_lease_ms * interval '1 millisecond'
    from held where s.id = held.id returning s.id
$$;

-- Gives claimed steps back (graceful stop) without costing them the attempt.
create function tasker.release_leases(p_worker uuid, p_step_ids uuid[], p_lives integer[], p_attempts integer[])
returns setof uuid language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
declare
  v_now timestamptz := tasker.clock();
  v_ids uuid[];
begin
  with held as (
    select s.id from unnest(p_step_ids, p_lives, p_attempts) i(id, life, attempt)
      join tasker.workflow_steps s on s.id = i.id and s.life = i.life and s.attempt = i.attempt
      where s.lease_owner = p_worker order by s.id for update of s),
  released as (
    update tasker.workflow_steps s set state = 'enqueued', lease_owner = null, lease_expires_at = null, attempt = s.attempt - 1,
        available_at = v_now, started_at = case when s.attempt > 1 then s.started_at end,
        first_started_at = case when s.attempt > 1 then s.first_started_at end
      from held where s.id = held.id returning s.id)
  select array_agg(id) into v_ids from released;
  if v_ids is not null then
    perform tasker.log_step_changes(v_ids, array_fill('in_progress'::tasker.step_state, array[cardinality(v_ids)]), v_now,
      'worker:' || p_worker, 'returned by a stopping worker');
    return query select unnest(v_ids);
  end if;
end $$;

-- A time as text that sorts as time: RFC 3339, UTC, microseconds.
create function tasker.rfc3339(p_at timestamptz) returns text language sql stable as $$
  select to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;
