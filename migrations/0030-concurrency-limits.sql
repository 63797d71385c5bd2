-- How many steps of a namespace, or of one named step, may run at once in the whole fleet. There is no counter that could go wrong:
-- a claim counts the steps in progress. Claims under one limit follow each other by its row's lock; what one has committed, the
-- next one counts. A claim that finds the lock held leaves the steps of that limit alone and waits for nothing.

create table tasker.concurrency_limits (
  id integer generated always as identity primary key,
  namespace_id integer references tasker.task_namespaces,
  named_step_id integer references tasker.named_steps,
  -- 0: nothing is claimed.
  max_running integer not null constraint limit_is_not_negative check (max_running >= 0),
  changed_at timestamptz(6) not null default tasker.clock(),
  constraint limits_a_namespace_or_a_step check (num_nonnulls(namespace_id, named_step_id) = 1),
  constraint one_limit_per_namespace unique (namespace_id),
  constraint one_limit_per_step unique (named_step_id));

-- By kind first: a claim counts what runs of a kind. The rescuer and the running figures of the analytics read all that runs.
create index workflow_steps_running on tasker.workflow_steps (named_step_id, lease_expires_at) include (started_at)
  where state = 'in_progress';
drop index tasker.workflow_steps_leased;

-- Of those kinds that a limit concerns: their limits, and how many steps more each allows at present (null: no such limit).
create function tasker.concurrency_rooms(p_named_step_ids integer[])
returns table (named_step_id integer, namespace_id integer, step_limit integer, step_room integer, namespace_limit integer,
  namespace_room integer)
language sql volatile as $$
  with limits as materialized (
    select l.id, l.namespace_id, l.named_step_id, (l.max_running - case
        when l.named_step_id is not null then (
          select count(*) from tasker.workflow_steps r where r.state = 'in_progress' and r.named_step_id = l.named_step_id)
        else (
          select count(*) from tasker.named_tasks t join tasker.named_steps s on s.named_task_id = t.id
            join tasker.workflow_steps r on r.named_step_id = s.id and r.state = 'in_progress' where t.namespace_id = l.namespace_id)
        end)::integer as room
      from tasker.concurrency_limits l
      -- What this claimer has no handlers for is not counted for it.
      where l.named_step_id = any (p_named_step_ids) or l.namespace_id in (
        select t.namespace_id from unnest(p_named_step_ids) k(id)
          join tasker.named_steps s on s.id = k.id join tasker.named_tasks t on t.id = s.named_task_id))
  select k.id, t.namespace_id, of_step.id, of_step.room, of_namespace.id, of_namespace.room
    from unnest(p_named_step_ids) k(id)
    join tasker.named_steps s on s.id = k.id join tasker.named_tasks t on t.id = s.named_task_id
    left join limits of_step on of_step.named_step_id = k.id
    left join limits of_namespace on of_namespace.namespace_id = t.namespace_id
    where of_step.id is not null or of_namespace.id is not null
$$;

-- Sets the limit of a namespace (which need not have templates yet), or removes it (null). Returns its id.
create function tasker.limit_namespace(p_namespace text, p_max_running integer) returns integer language plpgsql as $$
declare
  v_id integer;
begin
  insert into tasker.task_namespaces (name) values (p_namespace) on conflict (name) do nothing;
  select id into strict v_id from tasker.task_namespaces where name = p_namespace;
  if p_max_running is null then
    delete from tasker.concurrency_limits where namespace_id = v_id;
  else
    insert into tasker.concurrency_limits as l (namespace_id, max_running) values (v_id, p_max_running)
      on conflict (namespace_id) do update set max_running = excluded.max_running, changed_at = tasker.clock()
      where l.max_running <> excluded.max_running;
  end if;
  return v_id;
end $$;

-- Sets the limits of the steps of a template, by the steps' ids; null: no limit. A step that is not named keeps none.
create function tasker.limit_steps(p_named_task_id integer, p_named_step_ids integer[], p_max_running integer[]) returns void
language sql as $$
  delete from tasker.concurrency_limits l using tasker.named_steps s
    where s.id = l.named_step_id and s.named_task_id = p_named_task_id
      and not exists (select from unnest(p_named_step_ids, p_max_running) i(id, n) where i.id = s.id and i.n is not null);
  insert into tasker.concurrency_limits as l (named_step_id, max_running)
    select i.id, i.n from unnest(p_named_step_ids, p_max_running) i(id, n) where i.n is not null order by i.id
    on conflict (named_step_id) do update set max_running = excluded.max_running, changed_at = tasker.clock()
    where l.max_running <> excluded.max_running;
$$;

drop function tasker.claim_steps(uuid, integer[], integer, integer);

-- Claims up to p_limit steps for which the worker has a handler (p_named_step_ids), by priority, then by age, and no more than the
-- limits allow. limited_namespace_id: the namespace of a step whose end may let another one start, null when it is under no limit.
-- A row without a step: there was room under a limit, but another claim held it; it is worth to ask again soon.
create function tasker.claim_steps(p_worker uuid, p_named_step_ids integer[], p_limit integer, p_lease_ms integer)
returns table (step_id uuid, task_id uuid, named_step_id integer, revision_id integer, life integer, attempt integer,
  failed_attempts integer, input jsonb, input_checked boolean, results jsonb, correlation_id text, limited_namespace_id integer)
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off set enable_sort = off as $$
#variable_conflict use_column
declare
  v_now timestamptz;
  -- Kinds under a limit; and of those, now and then again, the ones with room, and how much.
  v_limited integer[] := '{}';
  v_wanted integer[];
  v_held integer[];
  v_roomy integer[] := '{}';
  v_step_rooms integer[];
  v_namespace_limits integer[];
  v_namespace_rooms integer[];
  v_is_contended boolean := false;
  v_kinds integer[] := p_named_step_ids;
  v_first integer;
  v_last integer;
  v_asked integer;
  v_found integer;
  v_claimed uuid[];
  v_claimed_from tasker.step_state[];
  v_claimed_tasks uuid[];
  v_ids uuid[] := '{}';
  v_from tasker.step_state[] := '{}';
  v_tasks uuid[] := '{}';
begin
  if exists (select from tasker.concurrency_limits) then
    -- Looked at before a lock is asked for: where there is no room there is nothing to contend for.
    with rooms as materialized (select * from tasker.concurrency_rooms(p_named_step_ids))
    select coalesce(array_agg(distinct r.named_step_id), '{}'),
        coalesce(array_agg(distinct l.id) filter (where l.id is not null
          and coalesce(r.step_room, 1) > 0 and coalesce(r.namespace_room, 1) > 0), '{}')
      into v_limited, v_wanted from rooms r cross join lateral (values (r.step_limit), (r.namespace_limit)) l(id);
    select coalesce(array_agg(h.id), '{}') into v_held from (
      select l.id from tasker.concurrency_limits l where l.id = any (v_wanted) order by l.id for no key update skip locked) h;
    v_is_contended := cardinality(v_held) < cardinality(v_wanted);
  end if;
  v_now := tasker.clock();
  loop
    if v_limited <> '{}' then
      -- A statement of its own, after the locks: it sees all that earlier holders have claimed.
      select coalesce(array_agg(r.named_step_id), '{}'), array_agg(r.step_room), array_agg(r.namespace_limit), array_agg(r.namespace_room)
        into v_roomy, v_step_rooms, v_namespace_limits, v_namespace_rooms
        from tasker.concurrency_rooms(v_limited) r
        where (r.step_limit is null or r.step_limit = any (v_held) and r.step_room > 0)
          and (r.namespace_limit is null or r.namespace_limit = any (v_held) and r.namespace_room > 0);
      select coalesce(array_agg(k), '{}') into v_kinds
        from unnest(p_named_step_ids) k where k <> all (v_limited) or k = any (v_roomy);
    end if;
    exit when v_kinds = '{}';
    select min(k), max(k) into v_first, v_last from unnest(v_kinds) k;
    v_asked := p_limit - cardinality(v_ids);
    with candidates as materialized (
      select id, state, priority, available_at, named_step_id from tasker.workflow_steps
        where state in ('enqueued', 'waiting_for_retry') and available_at <= v_now and named_step_id = any (v_kinds)
          -- Before Postgres 17 an ordered scan tests only such comparisons in the index.
          and named_step_id between v_first and v_last
        order by priority desc, available_at, id limit v_asked for update skip locked),
    -- Beyond a limit's room a candidate is not taken. It stays locked until the commit, which holds up nobody: others may not
    -- claim what is under that limit before either.
    within_step as (
      select c.*, r.namespace_limit, r.namespace_room, r.step_room,
          row_number() over (partition by c.named_step_id order by c.priority desc, c.available_at, c.id) as nth
        from candidates c join unnest(v_roomy, v_step_rooms, v_namespace_limits, v_namespace_rooms)
          r(named_step_id, step_room, namespace_limit, namespace_room) on r.named_step_id = c.named_step_id),
    within_namespace as (
      select w.*, row_number() over (partition by w.namespace_limit order by w.priority desc, w.available_at, w.id) as nth_of_namespace
        from within_step w where w.step_room is null or w.nth <= w.step_room),
    allowed as (
      select id, state, priority, available_at from candidates where named_step_id <> all (v_roomy)
      union all
      select id, state, priority, available_at from within_namespace where namespace_room is null or nth_of_namespace <= namespace_room),
    claimed as (
      update tasker.workflow_steps s set state = 'in_progress', lease_owner = p_worker, available_at = null, run_us = null,
          lease_expires_at = v_now + p_lease_ms * interval '1 millisecond', attempt = s.attempt + 1,
          started_at = greatest(coalesce(s.started_at, s.ready_at), v_now),
          first_started_at = coalesce(s.first_started_at, greatest(s.ready_at, v_now))
        from allowed c where s.id = c.id returning s.id, s.task_id, c.state, c.priority, c.available_at)
    select (select count(*) from candidates), coalesce(array_agg(id order by priority desc, available_at, id), '{}'),
        array_agg(state order by priority desc, available_at, id), array_agg(distinct task_id)
      into v_found, v_claimed, v_claimed_from, v_claimed_tasks from claimed;
    v_ids := v_ids || v_claimed;
    v_from := v_from || v_claimed_from;
    v_tasks := v_tasks || v_claimed_tasks;
    -- Where a limit cut something off, what stands behind it in the queue gets its turn: each round fills a limit at least.
    exit when v_found < v_asked or cardinality(v_claimed) = v_found;
  end loop;
  if v_is_contended then
    return query select null::uuid, null::uuid, null::integer, null::integer, null::integer, null::integer, null::integer, null::jsonb,
      null::boolean, null::jsonb, null::text, null::integer;
  end if;
  if v_ids = '{}' then
    return;
  end if;
  perform tasker.log_step_changes(v_ids, v_from, v_now, 'worker:' || p_worker, null);
  perform tasker.start_tasks(v_tasks, v_now);
  return query
    select s.id, s.task_id, s.named_step_id, t.revision_id, s.life, s.attempt, s.failed_attempts, t.input, t.input_checked, parents.results,
        t.correlation_id, case when s.named_step_id = any (v_limited) then (
          select n.namespace_id from tasker.named_tasks n where n.id = s.named_task_id) end
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
