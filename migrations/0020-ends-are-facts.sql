-- The end of a life that a worker reports is one row. It was two, a transition and a fact, which said mostly the same; now the fact
-- holds what only the transition told. What a person ends is a transition still: who did it and why outlives the facts.

-- Null in facts that are older, or of no step that ever was (tasker seed-history). actor: who ended the life, where no transition
-- says so.
alter table tasker.step_facts add column step_id uuid, add column life integer, add column actor text;
alter table tasker.task_facts add column life integer, add column actor text;
-- The history of a step or a task.
create index step_facts_step on tasker.step_facts (step_id, ended_at) where actor is not null;
create index task_facts_task on tasker.task_facts (task_id, ended_at) where actor is not null;

-- All transitions, as if they were in one table.
create view tasker.workflow_step_history as
  select step_id, from_state, to_state, life, attempt, actor, reason, recorded_at from tasker.workflow_step_transitions
  union all
  select step_id, from_state, outcome, life, attempts, actor, null, ended_at from tasker.step_facts where actor is not null;
create view tasker.task_history as
  select task_id, from_state, to_state, life, actor, reason, recorded_at from tasker.task_transitions
  union all
  select task_id, from_state, outcome, life, actor, null, ended_at from tasker.task_facts where actor is not null;

-- The functions from here on have no settings of their own: they are called by those that set them for all, and to set six
-- settings and to reset them takes as long as a statement.

-- Of steps whose rows just changed from `p_from[i]` to the state they have now: a fact for each that ended. Returns how many. p_tick:
-- that of this transaction, which the caller has read once for all it writes. p_actor: null if transitions tell of the ends.
create function tasker.log_step_ends(p_ids uuid[], p_from tasker.step_state[], p_tick bigint, p_actor text)
returns integer language plpgsql as $$
declare
  v_ended integer;
begin
  insert into tasker.step_facts (ended_at, tick, dependency_wait_us, queue_wait_us, retry_us, run_us, task_id, identity_id,
    attempts, failed_attempts, outcome, reopened, from_state, step_id, life, actor)
  select finished_at, p_tick, tasker.microseconds(claimable_at - life_started_at),
      tasker.microseconds((finished_at - claimable_at) - retry) - run, tasker.microseconds(retry), run, task_id, named_step_id,
      attempt, failed_attempts, state, life > 1, from_state, s.id, life, p_actor
    from unnest(p_ids, p_from) f(id, from_state) join tasker.workflow_steps s on s.id = f.id
    cross join lateral (select least(ready_at, finished_at) as claimable_at, coalesce(run_us, 0) as run,
      coalesce(started_at - first_started_at, interval '0') as retry) parts
    where finished_at is not null;
  get diagnostics v_ended = row_count;
  return v_ended;
end $$;

-- A transition for each of the others, and a delta per template and state. Returns how many transitions.
create function tasker.log_step_moves(p_ids uuid[], p_from tasker.step_state[], p_at timestamptz, p_actor text, p_reason text)
returns integer language plpgsql as $$
declare
  v_moved integer;
begin
  with changed as materialized (
    select s.id, f.from_state, s.state, s.life, s.attempt, s.named_task_id
      from unnest(p_ids, p_from) f(id, from_state) join tasker.workflow_steps s on s.id = f.id where s.finished_at is null),
  logged as (
    insert into tasker.workflow_step_transitions (step_id, from_state, to_state, life, attempt, actor, reason, recorded_at)
    select id, from_state, state, life, attempt, p_actor, p_reason, p_at from changed),
  counted as (
    insert into tasker.state_deltas (recorded_at, tick, identity_id, delta, subject, state)
    select p_at, pg_current_xact_id()::text::bigint + (select generation::bigint << 48 from tasker.tick_generation),
        named_task_id, sum(d)::integer, 'step', st::text
      from changed cross join lateral (values (from_state, -1), (state, 1)) x(st, d)
      group by named_task_id, st having sum(d) <> 0)
  select count(*) into v_moved from changed;
  return v_moved;
end $$;

-- Logs steps whose rows just changed from `p_from[i]` to the state they have now. It runs in the transaction of the change, hence
-- exactly once per change. For ends that workers report in great numbers there is tasker.log_step_ends alone.
create or replace function tasker.log_step_changes(p_ids uuid[], p_from tasker.step_state[], p_at timestamptz, p_actor text, p_reason text)
returns void language plpgsql as $$
begin
  if coalesce(cardinality(p_ids), 0) = 0 then
    return;
  end if;
  if tasker.log_step_moves(p_ids, p_from, p_at, p_actor, p_reason) = cardinality(p_ids) then
    return;
  end if;
  insert into tasker.workflow_step_transitions (step_id, from_state, to_state, life, attempt, actor, reason, recorded_at)
  select s.id, from_state, state, life, attempt, p_actor, p_reason, p_at
    from unnest(p_ids, p_from) f(id, from_state) join tasker.workflow_steps s on s.id = f.id where finished_at is not null;
  perform tasker.log_step_ends(p_ids, p_from, tasker.tick(), null);
end $$;

-- The same for tasks.
create function tasker.log_task_ends(p_ids uuid[], p_from tasker.task_state[], p_tick bigint, p_actor text)
returns integer language plpgsql as $$
declare
  v_ended integer;
begin
  insert into tasker.task_facts (ended_at, tick, duration_us, task_id, identity_id, step_count, failed_step_count, outcome,
    reopened, from_state, life, actor)
  select ended_at, p_tick, tasker.microseconds(ended_at - life_started_at), t.id, named_task_id, step_count, failed_steps, state,
      life > 1, from_state, life, p_actor
    from unnest(p_ids, p_from) f(id, from_state) join tasker.tasks t on t.id = f.id where ended_at is not null;
  get diagnostics v_ended = row_count;
  return v_ended;
end $$;

create function tasker.log_task_moves(p_ids uuid[], p_from tasker.task_state[], p_at timestamptz, p_actor text, p_reason text)
returns integer language plpgsql as $$
declare
  v_moved integer;
begin
  with changed as materialized (
    select t.id, f.from_state, t.state, t.life, t.named_task_id
      from unnest(p_ids, p_from) f(id, from_state) join tasker.tasks t on t.id = f.id where t.ended_at is null),
  logged as (
    insert into tasker.task_transitions (task_id, from_state, to_state, life, actor, reason, recorded_at)
    select id, from_state, state, life, p_actor, p_reason, p_at from changed),
  counted as (
    insert into tasker.state_deltas (recorded_at, tick, identity_id, delta, subject, state)
    select p_at, pg_current_xact_id()::text::bigint + (select generation::bigint << 48 from tasker.tick_generation),
        named_task_id, sum(d)::integer, 'task', st::text
      from changed cross join lateral (values (from_state, -1), (state, 1)) x(st, d)
      where st is not null group by named_task_id, st having sum(d) <> 0)
  select count(*) into v_moved from changed;
  return v_moved;
end $$;

create or replace function tasker.log_task_changes(p_ids uuid[], p_from tasker.task_state[], p_at timestamptz, p_actor text, p_reason text)
returns void language plpgsql as $$
begin
  if coalesce(cardinality(p_ids), 0) = 0 then
    return;
  end if;
  if tasker.log_task_moves(p_ids, p_from, p_at, p_actor, p_reason) = cardinality(p_ids) then
    return;
  end if;
  insert into tasker.task_transitions (task_id, from_state, to_state, life, actor, reason, recorded_at)
  select t.id, from_state, state, life, p_actor, p_reason, p_at
    from unnest(p_ids, p_from) f(id, from_state) join tasker.tasks t on t.id = f.id where ended_at is not null;
  perform tasker.log_task_ends(p_ids, p_from, tasker.tick(), null);
end $$;
