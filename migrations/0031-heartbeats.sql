-- What handlers of long steps tell while they run. A table of its own: it is written every second, the steps' rows and their indexes
-- are not touched by it, and a step that never tells anything has no row here.
create table tasker.workflow_step_heartbeats (
  step_id uuid primary key references tasker.workflow_steps on delete cascade,
  life integer not null,
  attempt integer not null,
  last_heartbeat_at timestamptz(6) not null,
  progress jsonb
) with (fillfactor = 50);

-- Records the latest heartbeats of attempts; a progress that is null keeps what the step's present life told before. What an attempt
-- of an earlier life tells, or after a later attempt told something, changes nothing. Returns how many were recorded.
create function tasker.record_heartbeats(p_step_ids uuid[], p_lives integer[], p_attempts integer[], p_progress text[])
returns bigint language sql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off as $$
  with recorded as (
    insert into tasker.workflow_step_heartbeats as h (step_id, life, attempt, last_heartbeat_at, progress)
    -- In the order of ids, so that two batches wait for each other instead of deadlocking.
    select i.step_id, i.life, i.attempt, tasker.clock(), i.progress::jsonb
      from unnest(p_step_ids, p_lives, p_attempts, p_progress) i(step_id, life, attempt, progress)
      join tasker.workflow_steps s on s.id = i.step_id and s.life = i.life and s.attempt >= i.attempt
      order by i.step_id
    on conflict (step_id) do update set life = excluded.life, attempt = excluded.attempt,
      last_heartbeat_at = case when h.life = excluded.life and h.attempt = excluded.attempt
        then greatest(h.last_heartbeat_at, excluded.last_heartbeat_at) else excluded.last_heartbeat_at end,
      progress = coalesce(excluded.progress, case when h.life = excluded.life then h.progress end)
      -- The last words of an attempt may arrive when the next one runs.
      where (h.life, h.attempt) <= (excluded.life, excluded.attempt)
    returning 1)
  select count(*) from recorded
$$;
