-- What a person does to a task: cancel, reset, resolve. Each returns the task's state afterwards, or null when there is no such
-- task or step, and whether it was done; refused means that the state it found does not allow it, and nothing was written.

-- Cancels a task at once: all its unfinished steps are cancelled and their leases void.
create function tasker.cancel_task(p_task uuid, p_actor text, p_reason text, out state tasker.task_state, out done boolean)
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
#variable_conflict use_column
declare
  v_task tasker.tasks;
  v_at timestamptz;
  v_ids uuid[];
  v_from tasker.step_state[];
begin
  done := false;
  select * into v_task from tasker.tasks where id = p_task for no key update;
  state := v_task.state;
  if not found or v_task.state not in ('pending', 'in_progress') then
    return;
  end if;
  select array_agg(l.id order by l.id), array_agg(l.state order by l.id), greatest(tasker.clock(), v_task.changed_at, max(l.started_at))
    into v_ids, v_from, v_at
    from (select s.id, s.state, s.started_at from tasker.workflow_steps s
      where s.task_id = p_task and s.finished_at is null order by s.id for no key update) l;
  update tasker.workflow_steps s set state = 'cancelled', finished_at = v_at, lease_owner = null, lease_expires_at = null,
      available_at = null, run_us = case when s.state = 'in_progress' then tasker.microseconds(v_at - s.started_at) else s.run_us end
    where s.id = any (v_ids);
  perform tasker.log_step_changes(v_ids, v_from, v_at, p_actor, p_reason);
  update tasker.tasks t set state = 'cancelled', unfinished_steps = 0, runnable_steps = 0, ended_at = v_at, changed_at = v_at
    where t.id = p_task;
  perform tasker.log_task_changes(array[p_task], array[v_task.state], v_at, p_actor, p_reason);
  perform pg_notify('tasker', 'cancelled:' || p_task);
  state := 'cancelled';
  done := true;
end $$;

-- Gives blocked steps below p_step a new life in which they wait for their parents again. The caller holds the task row.
create function tasker.revive_descendants(p_step uuid, p_at timestamptz, p_actor text, p_reason text) returns integer
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
declare
  v_ids uuid[];
begin
  with recursive below(id) as (
    select child_step_id from tasker.workflow_step_edges where parent_step_id = p_step
    union
    select e.child_step_id from below b join tasker.workflow_step_edges e on e.parent_step_id = b.id),
  revived as (
    update tasker.workflow_steps s set state = 'pending', life = s.life + 1, life_started_at = p_at, finished_at = null
      from below b where s.id = b.id and s.state = 'blocked' returning s.id)
  select coalesce(array_agg(id), '{}') into v_ids from revived;
  perform tasker.log_step_changes(v_ids, array_fill('blocked'::tasker.step_state, array[cardinality(v_ids)]), p_at, p_actor, p_reason);
  return cardinality(v_ids);
end $$;

-- Reopens a task that had ended in error (a new life) and moves its counters.
create function tasker.reopen_task(p_task uuid, p_unfinished integer, p_runnable integer, p_failed integer, p_at timestamptz,
  p_actor text, p_reason text) returns void language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
declare
  v_from tasker.task_state;
begin
  select t.state into v_from from tasker.tasks t where t.id = p_task;
  update tasker.tasks t set unfinished_steps = t.unfinished_steps + p_unfinished, runnable_steps = t.runnable_steps + p_runnable,
      failed_steps = t.failed_steps + p_failed, changed_at = p_at, state = 'in_progress', ended_at = null,
      life = case when v_from = 'error' then t.life + 1 else t.life end,
      life_started_at = case when v_from = 'error' then p_at else t.life_started_at end
    where t.id = p_task;
  if v_from <> 'in_progress' then
    perform tasker.log_task_changes(array[p_task], array[v_from], p_at, p_actor, p_reason);
  end if;
end $$;

-- Starts a new life of a failed step: attempts from 0, claimable at once. The failure stays in the history.
create function tasker.reset_step(p_step uuid, p_actor text, p_reason text,
  out task_state tasker.task_state, out step_state tasker.step_state, out namespace_id integer, out done boolean)
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
#variable_conflict use_column
declare
  v_task tasker.tasks;
  v_step tasker.workflow_steps;
  v_at timestamptz;
  v_revived integer;
begin
  done := false;
  select t.* into v_task from tasker.tasks t
    where t.id = (select s.task_id from tasker.workflow_steps s where s.id = p_step) for no key update;
  select s.* into v_step from tasker.workflow_steps s where s.id = p_step for no key update;
  select n.namespace_id into namespace_id from tasker.named_tasks n where n.id = v_step.named_task_id;
  task_state := v_task.state;
  step_state := v_step.state;
  if not found or v_step.state <> 'error' or v_task.state not in ('pending', 'in_progress', 'error') then
    return;
  end if;
  v_at := greatest(tasker.clock(), v_task.changed_at);
  update tasker.workflow_steps s set state = 'enqueued', life = s.life + 1, attempt = 0, failed_attempts = 0, run_us = null,
      life_started_at = v_at, ready_at = v_at, available_at = v_at, first_started_at = null, started_at = null, finished_at = null
    where s.id = p_step;
  perform tasker.log_step_changes(array[p_step], array['error'::tasker.step_state], v_at, p_actor, p_reason);
  v_revived := tasker.revive_descendants(p_step, v_at, p_actor, p_reason);
  perform tasker.reopen_task(v_task.id, v_revived + 1, 1, -1, v_at, p_actor, p_reason);
  task_state := 'in_progress';
  step_state := 'enqueued';
  done := true;
end $$;

-- Ends a step by hand, with an output for its dependants if one is given. Allowed while it does not run.
create function tasker.resolve_step(p_step uuid, p_actor text, p_reason text, p_output jsonb,
  out task_state tasker.task_state, out step_state tasker.step_state, out namespace_id integer, out done boolean)
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
#variable_conflict use_column
declare
  v_task tasker.tasks;
  v_step tasker.workflow_steps;
  v_at timestamptz;
  v_revived integer;
  v_released uuid[];
  v_failed integer;
  v_runnable integer;
begin
  done := false;
  select t.* into v_task from tasker.tasks t
    where t.id = (select s.task_id from tasker.workflow_steps s where s.id = p_step) for no key update;
  select s.* into v_step from tasker.workflow_steps s where s.id = p_step for no key update;
  select n.namespace_id into namespace_id from tasker.named_tasks n where n.id = v_step.named_task_id;
  task_state := v_task.state;
  step_state := v_step.state;
  if not found or v_step.state not in ('pending', 'enqueued', 'waiting_for_retry', 'error')
      or v_task.state not in ('pending', 'in_progress', 'error') then
    return;
  end if;
  v_at := greatest(tasker.clock(), v_task.changed_at, v_step.started_at);
  v_failed := case when v_step.state = 'error' then 1 else 0 end;
  v_runnable := case when v_step.state in ('enqueued', 'waiting_for_retry') then 1 else 0 end;
  -- A failed life stays as it ended; the resolution is a life of its own, without a run.
  update tasker.workflow_steps s set state = 'resolved_manually', finished_at = v_at, available_at = null,
      life = s.life + v_failed, life_started_at = case when v_failed = 1 then v_at else s.life_started_at end,
      attempt = case when v_failed = 1 then 0 else s.attempt end, run_us = case when v_failed = 0 then s.run_us end,
      failed_attempts = case when v_failed = 1 then 0 else s.failed_attempts end,
      ready_at = case when v_failed = 1 then v_at else s.ready_at end,
      first_started_at = case when v_failed = 0 then s.first_started_at end, started_at = case when v_failed = 0 then s.started_at end
    where s.id = p_step;
  if p_output is not null then
    insert into tasker.workflow_step_results (step_id, life, attempt, succeeded, output, recorded_at)
    select s.id, s.life, s.attempt + 1, true, p_output, v_at from tasker.workflow_steps s where s.id = p_step;
  end if;
  perform tasker.log_step_changes(array[p_step], array[v_step.state], v_at, p_actor, p_reason);
  v_revived := tasker.revive_descendants(p_step, v_at, p_actor, p_reason);
  v_released := tasker.release_dependants(array[p_step], v_at, p_actor);
  perform tasker.reopen_task(v_task.id, v_revived - 1 + v_failed, cardinality(v_released) - v_runnable, -v_failed, v_at, p_actor, p_reason);
  perform tasker.end_tasks(array[v_task.id], v_at, p_actor);
  select t.state into task_state from tasker.tasks t where t.id = v_task.id;
  step_state := 'resolved_manually';
  done := true;
end $$;

-- Declares a failed task as dealt with: final.
create function tasker.resolve_task(p_task uuid, p_actor text, p_reason text, out state tasker.task_state, out done boolean)
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
#variable_conflict use_column
declare
  v_task tasker.tasks;
  v_at timestamptz;
begin
  done := false;
  select * into v_task from tasker.tasks where id = p_task for no key update;
  state := v_task.state;
  if not found or v_task.state <> 'error' then
    return;
  end if;
  v_at := greatest(tasker.clock(), v_task.changed_at);
  update tasker.tasks t set state = 'resolved_manually', ended_at = v_at, changed_at = v_at, life = t.life + 1, life_started_at = v_at
    where t.id = p_task;
  perform tasker.log_task_changes(array[p_task], array['error'::tasker.task_state], v_at, p_actor, p_reason);
  state := 'resolved_manually';
  done := true;
end $$;
