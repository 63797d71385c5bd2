-- A completion in fewer statements: a task's counters and its end are one update, and what has nothing to do is not called.
-- The inner functions have no settings of their own, as in 0020. And a fold that does not number the rows it is going to sum up.

-- Counts down the dependants of steps that ended well and enqueues those with nothing left to wait for. The caller holds
-- the task rows. Returns what became claimable.
create or replace function tasker.release_dependants(p_parents uuid[], p_at timestamptz, p_actor text) returns uuid[] language plpgsql as $$
declare
  v_released uuid[];
begin
  with counted as (
    -- Of several parents in one batch the highest id is the one that released: they ended at the same time.
    select child_step_id as id, count(*)::integer as parents, (array_agg(parent_step_id order by parent_step_id desc))[1] as last
      from tasker.workflow_step_edges where parent_step_id = any (p_parents) group by child_step_id),
  changed as (
    update tasker.workflow_steps c set unmet_dependencies = c.unmet_dependencies - n.parents,
        state = case when free then 'enqueued' else c.state end,
        -- As at creation: a start that was asked to be later is not waiting for a worker.
        ready_at = case when free then greatest(p_at, c.run_at) else c.ready_at end,
        available_at = case when free then greatest(p_at, c.run_at) else c.available_at end,
        released_by = case when free then n.last else c.released_by end
      from counted n join tasker.workflow_steps before on before.id = n.id
      cross join lateral (select before.state = 'pending' and before.unmet_dependencies = n.parents as free) f
      where c.id = n.id returning c.id, f.free)
  select coalesce(array_agg(id) filter (where free), '{}') into v_released from changed;
  if v_released <> '{}' then
    perform tasker.log_step_moves(v_released, array_fill('pending'::tasker.step_state, array[cardinality(v_released)]), p_at, p_actor, null);
  end if;
  return v_released;
end $$;

create or replace function tasker.start_tasks(p_task_ids uuid[], p_at timestamptz) returns void language plpgsql as $$
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
    perform tasker.log_task_moves(v_started, array_fill('pending'::tasker.task_state, array[cardinality(v_started)]), p_at, null, null);
  end if;
end $$;

-- Blocks what still waited for a failed step, in tasks that just ended in error.
create function tasker.block_steps(p_task_ids uuid[], p_at timestamptz, p_actor text, p_tick bigint) returns void language plpgsql as $$
declare
  v_blocked uuid[];
begin
  with blocked as (
    update tasker.workflow_steps s set state = 'blocked', finished_at = p_at
      where s.task_id = any (p_task_ids) and s.state = 'pending' returning s.id)
  select array_agg(id) into v_blocked from blocked;
  if v_blocked is not null then
    perform tasker.log_step_ends(v_blocked, array_fill('pending'::tasker.step_state, array[cardinality(v_blocked)]), p_tick, p_actor);
  end if;
end $$;

-- Records the ends of attempts. p_settlements: [{step_id, task_id, life, attempt, owner, state, output, error, run_us, delay_ms,
-- expired}] where state is 'complete', 'error' or 'waiting_for_retry' (after delay_ms), owner the worker that holds the lease,
-- and expired makes the settlement count only when that lease has run out (the rescuer's). A settlement whose lease is lost
-- changes nothing. Returns the steps accepted, the tasks ended and the namespaces in which steps became claimable.
create or replace function tasker.settle_steps(p_settlements jsonb, p_actor text,
  out accepted uuid[], out ended_tasks uuid[], out wake_namespaces integer[])
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
declare
  v_at timestamptz;
  v_tick bigint;
  v_tasks uuid[];
  v_steps uuid[];
  v_completed uuid[];
  v_retries integer;
  v_from tasker.step_state[];
  v_released uuid[] := '{}';
  v_some_are_pending boolean;
  v_failed_tasks uuid[];
begin
  select array_agg(distinct i.task_id), array_agg(i.step_id) into v_tasks, v_steps
    from jsonb_to_recordset(p_settlements) as i(step_id uuid, task_id uuid);
  select max(l.changed_at), bool_or(l.state = 'pending') into v_at, v_some_are_pending from (
    select t.changed_at, t.state from tasker.tasks t where t.id = any (v_tasks) order by t.id for no key update) l;
  select greatest(tasker.clock(), v_at, max(l.started_at)) into v_at from (
    select s.started_at from tasker.workflow_steps s where s.id = any (v_steps) order by s.id for no key update) l;

  with input as materialized (
    select * from jsonb_to_recordset(p_settlements) as i(step_id uuid, life integer, attempt integer, owner uuid,
      state tasker.step_state, output jsonb, error jsonb, run_us bigint, delay_ms bigint, expired boolean)),
  settled as (
    update tasker.workflow_steps s set state = i.state, lease_owner = null, lease_expires_at = null,
        failed_attempts = s.failed_attempts + case when i.state = 'complete' then 0 else 1 end,
        -- A run that nobody measured (its worker is gone) lasted as long as it was held; none is longer than that.
        run_us = least(coalesce(i.run_us, tasker.microseconds(v_at - s.started_at)), tasker.microseconds(v_at - s.started_at)),
        available_at = case when i.state = 'waiting_for_retry' then v_at + i.delay_ms * interval '1 millisecond' end,
        finished_at = case when i.state <> 'waiting_for_retry' then v_at end
      from input i
      -- Only a step in progress has an owner. To say so as well would offer the planner the index of all leased steps.
      where s.id = i.step_id and s.life = i.life and s.attempt = i.attempt and s.lease_owner = i.owner
        and (i.expired is not true or s.lease_expires_at < v_at)
      returning s.id, s.life, s.attempt, s.state, s.run_us, i.output, i.error),
  recorded as (
    insert into tasker.workflow_step_results (step_id, life, attempt, succeeded, output, error, run_us, recorded_at)
    select id, life, attempt, state = 'complete', output, error, run_us, v_at from settled)
  select coalesce(array_agg(id), '{}'), coalesce(array_agg(id) filter (where state = 'complete'), '{}'),
      count(*) filter (where state = 'waiting_for_retry'),
      pg_current_xact_id()::text::bigint + (select generation::bigint << 48 from tasker.tick_generation)
    into accepted, v_completed, v_retries, v_tick from settled;
  ended_tasks := '{}';
  wake_namespaces := '{}';
  if accepted = '{}' then
    return;
  end if;
  v_from := array_fill('in_progress'::tasker.step_state, array[cardinality(accepted)]);
  if v_retries < cardinality(accepted) then
    perform tasker.log_step_ends(accepted, v_from, v_tick, p_actor);
  end if;
  if v_retries > 0 then
    perform tasker.log_step_moves(accepted, v_from, v_at, p_actor, null);
  end if;
  if v_completed <> '{}' then
    v_released := tasker.release_dependants(v_completed, v_at, p_actor);
  end if;
  if v_some_are_pending then
    perform tasker.start_tasks(v_tasks, v_at);
  end if;

  -- A task that nothing can move any more ends: complete when all steps ended well, error when one has failed.
  with counted as (
    select s.task_id, count(*) filter (where s.finished_at is not null) as ended,
        count(*) filter (where s.state = 'error') as failed, count(*) filter (where s.state = 'enqueued') as released
      from tasker.workflow_steps s where s.id = any (accepted || v_released) group by s.task_id),
  changed as (
    update tasker.tasks t set unfinished_steps = case when ends then 0 else n.unfinished end, runnable_steps = n.runnable,
        failed_steps = n.failed, changed_at = v_at, ended_at = case when ends then v_at end,
        state = case when not ends then t.state when n.failed > 0 then 'error' else 'complete' end
      from counted c join tasker.tasks before on before.id = c.task_id
      cross join lateral (select before.unfinished_steps - c.ended as unfinished, before.failed_steps + c.failed as failed,
        before.runnable_steps - c.ended + c.released as runnable) n
      cross join lateral (select n.runnable = 0 and (n.failed > 0 or n.unfinished = 0) as ends) e
      where t.id = c.task_id returning t.id, t.state, t.ended_at)
  select coalesce(array_agg(id) filter (where ended_at is not null), '{}'), array_agg(id) filter (where state = 'error')
    into ended_tasks, v_failed_tasks from changed;
  if v_failed_tasks is not null then
    perform tasker.block_steps(v_failed_tasks, v_at, p_actor, v_tick);
  end if;
  if ended_tasks <> '{}' then
    perform tasker.log_task_ends(ended_tasks, array_fill('in_progress'::tasker.task_state, array[cardinality(ended_tasks)]), v_tick, p_actor);
  end if;
  if v_retries > 0 or v_released <> '{}' then
    select coalesce(array_agg(distinct n.namespace_id), '{}') into wake_namespaces
      from tasker.workflow_steps s join tasker.named_tasks n on n.id = s.named_task_id
      where s.id = any (v_released || accepted) and s.available_at is not null;
  end if;
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
  select greatest(max(tick), min(tick) + 1), count(*) > p_rows into v_cut, more from (
    select tick from (
      (select tick from tasker.step_facts where tick = any (v_ended) order by tick limit p_rows + 1)
      union all (select tick from tasker.task_facts where tick = any (v_ended) order by tick limit p_rows + 1)
      union all (select tick from tasker.state_deltas where tick = any (v_ended) order by tick limit p_rows + 1)
      union all (select tick from tasker.step_facts where tick >= v_from and tick < v_upto and tick <> all (v_running)
        order by tick limit p_rows + 1)
      union all (select tick from tasker.task_facts where tick >= v_from and tick < v_upto and tick <> all (v_running)
        order by tick limit p_rows + 1)
      union all (select tick from tasker.state_deltas where tick >= v_from and tick < v_upto and tick <> all (v_running)
        order by tick limit p_rows + 1)) t order by tick limit p_rows + 1) x;
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
