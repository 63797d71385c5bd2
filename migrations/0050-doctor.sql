-- What `tasker doctor --fix` does: counters of tasks and steps set to what a recount finds, under the locks and in the order of
-- every other transition (task rows first, then step rows, each by id), so that it may run beside the fleet. What the right
-- counters imply happens at once: steps with nothing left to wait for are enqueued, tasks that nothing can move any more end.
create function tasker.recount_tasks(p_task_ids uuid[], p_actor text,
  out changed integer, out wake_namespaces integer[])
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
declare
  v_at timestamptz;
  v_steps_at timestamptz;
  v_freed uuid[];
  v_tasks integer;
begin
  select max(l.changed_at) into v_at from (
    select t.changed_at from tasker.tasks t where t.id = any (p_task_ids) order by t.id for no key update) l;
  select max(l.at) into v_steps_at from (
    select greatest(s.life_started_at, s.ready_at, s.started_at, s.finished_at) as at from tasker.workflow_steps s
      where s.task_id = any (p_task_ids) order by s.id for no key update) l;
  v_at := greatest(tasker.clock(), v_at, v_steps_at);
  with recounted as (
    select s.id, (select count(*) from tasker.workflow_step_edges e join tasker.workflow_steps p on p.id = e.parent_step_id
        where e.child_step_id = s.id and p.state not in ('complete', 'resolved_manually', 'skipped'))::integer as unmet
      from tasker.workflow_steps s where s.task_id = any (p_task_ids)),
  corrected as (
    update tasker.workflow_steps s set unmet_dependencies = r.unmet from recounted r
      where s.id = r.id and s.unmet_dependencies <> r.unmet returning s.id)
  select count(*) into changed from corrected;
  with freed as (
    update tasker.workflow_steps s set state = 'enqueued', ready_at = greatest(v_at, s.run_at), available_at = greatest(v_at, s.run_at),
        -- The chain of these is the critical path.
        released_by = (select p.id from tasker.workflow_step_edges e join tasker.workflow_steps p on p.id = e.parent_step_id
          where e.child_step_id = s.id order by p.finished_at desc, p.id desc limit 1)
      from tasker.tasks t
      where t.id = any (p_task_ids) and s.task_id = t.id and t.state in ('pending', 'in_progress') and s.state = 'pending'
        and s.unmet_dependencies = 0 returning s.id)
  select coalesce(array_agg(id), '{}') into v_freed from freed;
  perform tasker.log_step_changes(v_freed, array_fill('pending'::tasker.step_state, array[cardinality(v_freed)]), v_at, p_actor, 'recount');
  with recounted as (
    select s.task_id as id, count(*)::integer as steps, (count(*) filter (where s.finished_at is null))::integer as unfinished,
        (count(*) filter (where s.state in ('enqueued', 'in_progress', 'waiting_for_retry')))::integer as runnable,
        (count(*) filter (where s.state = 'error'))::integer as failed
      from tasker.workflow_steps s where s.task_id = any (p_task_ids) group by s.task_id),
  corrected as (
    update tasker.tasks t set step_count = r.steps, unfinished_steps = r.unfinished, runnable_steps = r.runnable, failed_steps = r.failed,
        changed_at = v_at
      from recounted r where t.id = r.id
        and (t.step_count, t.unfinished_steps, t.runnable_steps, t.failed_steps) is distinct from (r.steps, r.unfinished, r.runnable, r.failed)
      returning t.id)
  select count(*) into v_tasks from corrected;
  changed := changed + v_tasks + cardinality(tasker.end_tasks(p_task_ids, v_at, p_actor));
  select coalesce(array_agg(distinct n.namespace_id), '{}') into wake_namespaces
    from tasker.workflow_steps s join tasker.named_tasks n on n.id = s.named_task_id where s.id = any (v_freed);
end $$;
