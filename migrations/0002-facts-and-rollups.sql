-- What the analytics are computed from: facts and state deltas (append only, written with the change of state itself),
-- and the rollups and counts that a folder sums them up into.

-- A tick is the writing transaction's id, lifted by a generation that grows when the database moves to a cluster whose
-- transaction counter stands lower (dump and restore). The stored system_identifier tells that it moved.
create table tasker.tick_generation (
  only_row boolean primary key default true constraint there_is_one_generation check (only_row),
  generation integer not null constraint generation_fits_its_bits check (generation between 0 and 32767),
  system_identifier text not null);
insert into tasker.tick_generation (generation, system_identifier)
  select 0, system_identifier::text from pg_control_system();

create function tasker.tick() returns bigint language sql volatile as $$
  select pg_current_xact_id()::text::bigint + (generation::bigint << 48) from tasker.tick_generation
$$;

-- Every transaction with a tick below the horizon has ended: what it wrote is visible, or never will be.
create function tasker.horizon() returns bigint language sql stable as $$
  select pg_snapshot_xmin(pg_current_snapshot())::text::bigint + (generation::bigint << 48) from tasker.tick_generation
$$;

-- Everything with a tick below the watermark is folded, nothing at or above it is.
create table tasker.fold_state (
  only_row boolean primary key default true constraint there_is_one_fold_state check (only_row),
  watermark bigint not null,
  folded_at timestamptz(6) not null);
insert into tasker.fold_state (watermark, folded_at) select tasker.horizon(), tasker.clock();

-- One row per ended life of a step. The four parts sum to the life: dependency_wait + queue_wait + retry + run.
create table tasker.step_facts (
  ended_at timestamptz(6) not null,
  tick bigint not null,
  dependency_wait_us bigint not null,
  queue_wait_us bigint not null,
  retry_us bigint not null,
  run_us bigint not null,
  task_id uuid not null,
  identity_id integer not null,
  attempts integer not null,
  failed_attempts integer not null,
  outcome tasker.step_state not null,
  reopened boolean not null
) partition by range (ended_at);
create table tasker.step_facts_default partition of tasker.step_facts default;
-- The ragged edge of a window, by time.
create index step_facts_ended_at on tasker.step_facts using brin (ended_at);
-- What is not folded yet: the BRIN alone would scan the whole day for it.
create index step_facts_tick on tasker.step_facts (tick);

create table tasker.task_facts (
  ended_at timestamptz(6) not null,
  tick bigint not null,
  duration_us bigint not null,
  task_id uuid not null,
  identity_id integer not null,
  step_count integer not null,
  failed_step_count integer not null,
  outcome tasker.task_state not null,
  reopened boolean not null
) partition by range (ended_at);
create table tasker.task_facts_default partition of tasker.task_facts default;
create index task_facts_ended_at on tasker.task_facts using brin (ended_at);
create index task_facts_tick on tasker.task_facts (tick);

-- Changes of the number of tasks or steps of a template in a state: one row per statement, template and state.
create table tasker.state_deltas (
  recorded_at timestamptz(6) not null,
  tick bigint not null,
  identity_id integer not null,
  delta integer not null,
  subject text not null constraint delta_subject_is_task_or_step check (subject in ('task', 'step')),
  state text not null
) partition by range (recorded_at);
create table tasker.state_deltas_default partition of tasker.state_deltas default;
create index state_deltas_tick on tasker.state_deltas (tick);

-- identity_id is the template's, for steps too. first_at: when anything first came into the state.
create table tasker.state_counts (
  identity_id integer not null,
  subject text not null,
  state text not null,
  count bigint not null,
  first_at timestamptz(6) not null,
  primary key (identity_id, subject, state));

-- The folded counts of one identity in one bucket. Grain 'h': hour, 'd': UTC day, 'a': all time (bucket -infinity).
-- For steps duration is the run of the last attempt, for tasks created to ended. Sums and the maximum are over lives
-- that completed; failed_* over those that failed.
create table tasker.rollups (
  grain "char" not null constraint grain_is_hour_day_or_all check (grain in ('h', 'd', 'a')),
  bucket_start timestamptz not null,
  identity_id integer not null,
  completed bigint not null,
  failed bigint not null,
  cancelled bigint not null,
  resolved bigint not null,
  skipped bigint not null,
  blocked bigint not null,
  reopened bigint not null,
  attempts bigint not null,
  failed_attempts bigint not null,
  duration_us bigint not null,
  max_duration_us bigint not null,
  failed_duration_us bigint not null,
  dependency_wait_us bigint not null,
  queue_wait_us bigint not null,
  retry_us bigint not null,
  step_count bigint not null,
  failed_step_count bigint not null,
  last_ended_at timestamptz(6),
  primary key (grain, bucket_start, identity_id)
) with (fillfactor = 70);

-- Logarithmic buckets of the durations of completed lives (Masson, Rim, Lee: DDSketch, VLDB 2019; alpha = 1 %).
-- keys are sorted; counts belong to them one by one.
create table tasker.rollup_histograms (
  grain "char" not null,
  bucket_start timestamptz not null,
  identity_id integer not null,
  keys integer[] not null,
  counts bigint[] not null,
  primary key (grain, bucket_start, identity_id),
  constraint counts_belong_to_keys check (cardinality(keys) = cardinality(counts))
) with (fillfactor = 70);

-- Makes the daily partitions from yesterday to `p_days_ahead` days ahead; returns how many it made. A day whose rows
-- already lie in a DEFAULT partition cannot get its own any more: it is left there, and the alarm counts them.
create function tasker.ensure_partitions(p_days_ahead integer) returns integer language plpgsql as $$
declare
  v_parent text;
  v_day date;
  v_name text;
  v_made integer := 0;
begin
  perform pg_advisory_xact_lock(hashtext('tasker.ensure_partitions'));
  foreach v_parent in array array['step_facts', 'task_facts', 'state_deltas', 'task_transitions', 'workflow_step_transitions'] loop
    for v_day in select d::date from generate_series(
        ((tasker.clock() at time zone 'UTC')::date - 1)::timestamp,
        ((tasker.clock() at time zone 'UTC')::date + p_days_ahead)::timestamp, interval '1 day') d loop
      v_name := format('%s_%s', v_parent, to_char(v_day, 'YYYYMMDD'));
      continue when to_regclass('tasker.' || v_name) is not null;
      begin
        execute format('create table tasker.%I partition of tasker.%I for values from (%L) to (%L)', v_name, v_parent,
          v_day::text || ' 00:00:00+00', (v_day + 1)::text || ' 00:00:00+00');
        v_made := v_made + 1;
      exception when check_violation then
        raise warning 'rows of % already lie in tasker.%_default: that day gets no partition of its own', v_day, v_parent;
      end;
    end loop;
  end loop;
  return v_made;
end $$;

select tasker.ensure_partitions(7);
