-- Tasks that ended long ago are deleted, in bounded batches, and the days of the transition logs dropped. No figure changes by it:
-- facts, rollups and counts by state are rows of their own.

-- Looks at tasks in the order of their creation, from behind (p_after_at, p_after_id) on, and deletes those that ended before
-- p_before: it looks at p_tasks of them at most, and deletes no more than about p_steps steps (one task at least). It walks an index
-- that is there already: one by the end would make the end of each task dearer. What hangs on a task goes by foreign keys, each
-- found by an index. Nothing is deleted while the critical path of a task that ended before p_before is not traced: tracing
-- needs the steps. A row that somebody has locked is left to the next time. Returns where it came to, and whether that is not the end.
create function tasker.delete_ended_tasks(p_before timestamptz, p_after_at timestamptz, p_after_id uuid, p_tasks integer, p_steps integer,
  out deleted bigint, out last_at timestamptz, out last_id uuid, out more boolean)
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
declare
  v_ids uuid[];
  v_seen bigint;
  v_looked_at bigint;
begin
  deleted := 0;
  with found as materialized (
    -- What ended before was created before.
    select t.id, t.created_at, coalesce(t.ended_at < p_before, false) as is_due, t.step_count from tasker.tasks t
      where (t.created_at, t.id) > (p_after_at, p_after_id) and t.created_at < p_before
      order by t.created_at, t.id limit p_tasks),
  sized as (
    select f.*, coalesce(sum(f.step_count) filter (where f.is_due)
      over (order by f.created_at, f.id rows between unbounded preceding and 1 preceding), 0) as steps_before from found f),
  batch as (select * from sized where steps_before < p_steps)
  select (select count(*) from found), count(*), array_agg(b.id) filter (where b.is_due),
      max(b.created_at), (array_agg(b.id order by b.created_at desc, b.id desc))[1]
    into v_seen, v_looked_at, v_ids, last_at, last_id from batch b;
  more := v_looked_at < v_seen or v_seen = p_tasks;
  if v_ids is null then
    return;
  end if;
  -- One that was reopened since is not over any more.
  select array_agg(l.id) into v_ids from (
    select t.id from tasker.tasks t where t.id = any (v_ids) and t.ended_at < p_before order by t.id for update skip locked) l;
  if v_ids is null then
    return;
  end if;
  -- Asked after the rows are held: the facts of their ends are visible.
  if exists (
      select from tasker.task_facts f where f.ended_at < p_before and f.tick >= (select watermark from tasker.critical_path_state))
    or exists (
      select from tasker.task_facts f where f.ended_at < p_before and f.tick = any ((select open_ticks from tasker.critical_path_state)::bigint[])) then
    more := false;
    return;
  end if;
  delete from tasker.tasks t where t.id = any (v_ids);
  get diagnostics deleted = row_count;
end $$;

-- Drops the days of the transition logs that are past retention, as drop_expired_partitions does those of the facts. Returns their names.
create function tasker.drop_expired_transitions(p_days integer) returns text[] language plpgsql as $$
declare
  v_part record;
  v_dropped text[] := '{}';
begin
  perform set_config('lock_timeout', '500ms', true);
  for v_part in
    select c.relname as name, p.relname as parent from pg_inherits i
      join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
      where p.oid = any (array['tasker.task_transitions', 'tasker.workflow_step_transitions']::regclass[])
        and c.relname ~ '_[0-9]{8}$'
        and to_date(right(c.relname, 8), 'YYYYMMDD') + 1 <= ((tasker.clock() at time zone 'UTC')::date - p_days)
      order by c.relname loop
    begin
      -- The parent first, as writers do.
      execute format('lock table only tasker.%I in access exclusive mode', v_part.parent);
      execute format('drop table tasker.%I', v_part.name);
      v_dropped := v_dropped || v_part.name::text;
    exception when lock_not_available then
      exit;
    end;
  end loop;
  return v_dropped;
end $$;
