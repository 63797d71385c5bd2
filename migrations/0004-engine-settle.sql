-- What follows from steps that ended: results, dependants, the ends of tasks.

-- Counts down the dependants of steps that ended well and enqueues those with nothing left to wait for. The caller holds
-- the task rows. Returns what became claimable.
create function tasker.release_dependants(p_parents uuid[], p_at timestamptz, p_actor text) returns uuid[] language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
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
  perform tasker.log_step_changes(v_released, array_fill('pending'::tasker.step_state, array[cardinality(v_released)]), p_at, p_actor, null);
  return v_released;
end $$;

-- Ends those of the given (locked) tasks that nothing can move any more: complete when all steps ended well, error when one
-- has failed; what still waited for the failed one is blocked. Returns the tasks it ended.
create function tasker.end_tasks(p_task_ids uuid[], p_at timestamptz, p_actor text) returns uuid[] language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
declare
  v_ended uuid[];
  v_from tasker.task_state[];
  v_blocked uuid[];
begin
  select array_agg(id), array_agg(state) into v_ended, v_from from tasker.tasks
    where id = any (p_task_ids) and state in ('pending', 'in_progress') and runnable_steps = 0
      and (failed_steps > 0 or unfinished_steps = 0);
  if v_ended is null then
    return '{}';
  end if;
  with blocked as (
    update tasker.workflow_steps s set state = 'blocked', finished_at = p_at
      where s.task_id = any (v_ended) and s.state = 'pending' returning s.id)
  select coalesce(array_agg(id), '{}') into v_blocked from blocked;
  perform tasker.log_step_changes(v_blocked, array_fill('pending'::tasker.step_state, array[cardinality(v_blocked)]), p_at, p_actor, null);
  update tasker.tasks set state = case when failed_steps > 0 then 'error' else 'complete' end::tasker.task_state,
      unfinished_steps = 0, ended_at = p_at, changed_at = p_at
    where id = any (v_ended);
  perform tasker.log_task_changes(v_ended, v_from, p_at, p_actor, null);
  return v_ended;
end $$;

-- Records the ends of attempts. p_settlements: [{step_id, task_id, life, attempt, owner, state, output, error, run_us, delay_ms,
-- expired}] where state is 'complete', 'error' or 'waiting_for_retry' (after delay_ms), owner the worker that holds the lease,
-- and expired makes the settlement count only when that lease has run out (the rescuer's). A settlement whose lease is lost
-- changes nothing. Returns the steps accepted, the tasks ended and the namespaces in which steps became claimable.
create function tasker.settle_steps(p_settlements jsonb, p_actor text,
  out accepted uuid[], out ended_tasks uuid[], out wake_namespaces integer[])
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
declare
  v_at timestamptz;
  v_tasks uuid[];
  v_steps uuid[];
  v_completed uuid[];
  v_released uuid[];
begin
  select array_agg(distinct i.task_id), array_agg(i.step_id) into v_tasks, v_steps
    from jsonb_to_recordset(p_settlements) as i(step_id uuid, task_id uuid);
  select max(l.changed_at) into v_at from (
    select t.changed_at from tasker.tasks t where t.id = any (v_tasks) order by t.id for no key update) l;
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
  select coalesce(array_agg(id), '{}'), coalesce(array_agg(id) filter (where state = 'complete'), '{}')
    into accepted, v_completed from settled;
  ended_tasks := '{}';
  wake_namespaces := '{}';
  if accepted = '{}' then
    return;
  end if;
  perform tasker.log_step_changes(accepted, array_fill('in_progress'::tasker.step_state, array[cardinality(accepted)]), v_at, p_actor, null);
  v_released := tasker.release_dependants(v_completed, v_at, p_actor);
  perform tasker.start_tasks(v_tasks, v_at);
  update tasker.tasks t set unfinished_steps = t.unfinished_steps - c.ended, runnable_steps = t.runnable_steps - c.ended + c.released,
      failed_steps = t.failed_steps + c.failed, changed_at = v_at
    from (select s.task_id, count(*) filter (where s.finished_at is not null) as ended,
        count(*) filter (where s.state = 'error') as failed, count(*) filter (where s.state = 'enqueued') as released
      from tasker.workflow_steps s where s.id = any (accepted || v_released) group by s.task_id) c
    where t.id = c.task_id;
  ended_tasks := tasker.end_tasks(v_tasks, v_at, p_actor);
  select coalesce(array_agg(distinct n.namespace_id), '{}') into wake_namespaces
    from tasker.workflow_steps s join tasker.named_tasks n on n.id = s.named_task_id
    where s.id = any (v_released || accepted) and s.available_at is not null;
end $$;
