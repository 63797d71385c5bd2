-- The whole data model: templates, tasks, steps, logs, facts, deltas and rollups.
-- Functions over it follow in later files, so that a function can be replaced without touching a table.

-- The database's clock. Every time that Tasker stores or compares comes from here and nowhere else; tests replace this
-- function by one they can move. clock_timestamp() and not now(): a transaction may begin before its parent step ended.
create function tasker.clock() returns timestamptz language sql volatile as 'select clock_timestamp()';

create type tasker.task_state as enum ('pending', 'in_progress', 'complete', 'error', 'cancelled', 'resolved_manually');
create type tasker.step_state as enum (
  'pending', 'enqueued', 'in_progress', 'waiting_for_retry',
  'complete', 'error', 'cancelled', 'resolved_manually', 'skipped', 'blocked');

-- ---------------------------------------------------------------- templates

create table tasker.task_namespaces (
  id integer generated always as identity primary key,
  name text not null constraint namespace_name_is_an_identifier check (name ~ '^[a-z][a-z0-9_-]{0,62}$'),
  created_at timestamptz(6) not null default tasker.clock(),
  constraint namespace_name_is_unique unique (name));

-- The dimension of the analytics: a template (step_name is null) or a step of one. Its integer stands in every fact and
-- rollup, and is also the id of the named task or named step, so that no fact needs a join to be written.
create table tasker.analytics_identities (
  id integer generated always as identity primary key,
  namespace_name text not null,
  task_name text not null,
  version text not null,
  step_name text,
  created_at timestamptz(6) not null default tasker.clock(),
  constraint identity_is_unique unique nulls not distinct (namespace_name, task_name, version, step_name));

create table tasker.named_tasks (
  id integer primary key references tasker.analytics_identities,
  namespace_id integer not null references tasker.task_namespaces,
  name text not null,
  version text not null,
  current_revision_id integer,
  created_at timestamptz(6) not null default tasker.clock(),
  constraint template_is_unique unique (namespace_id, name, version));

create table tasker.named_steps (
  id integer primary key references tasker.analytics_identities,
  named_task_id integer not null references tasker.named_tasks,
  name text not null,
  constraint step_name_is_unique_within_template unique (named_task_id, name));

-- A definition as it was registered. The graph is kept a second time as arrays over positions (1-based, parents before
-- children), from which tasks are created without touching the JSON.
create table tasker.named_task_revisions (
  id integer generated always as identity primary key,
  named_task_id integer not null references tasker.named_tasks,
  revision integer not null constraint revision_counts_from_one check (revision >= 1),
  definition jsonb not null,
  definition_hash text not null,
  graph_hash text not null,
  input_schema jsonb,
  step_ids integer[] not null constraint template_has_steps check (cardinality(step_ids) >= 1),
  edge_parents integer[] not null,
  edge_children integer[] not null,
  created_at timestamptz(6) not null default tasker.clock(),
  constraint edges_are_pairs check (cardinality(edge_parents) = cardinality(edge_children)),
  constraint revision_is_unique unique (named_task_id, revision));

alter table tasker.named_tasks add constraint current_revision_exists
  foreign key (current_revision_id) references tasker.named_task_revisions;

-- ---------------------------------------------------------------- tasks and steps

-- named_task_id and revision_id carry no foreign key: creation takes one share lock on the template instead (0003),
-- which also proves that the revision is the current one.
create table tasker.tasks (
  id uuid primary key,
  named_task_id integer not null,
  revision_id integer not null,
  state tasker.task_state not null default 'pending',
  input jsonb not null,
  -- Whether the template's schema has accepted the input already; otherwise the worker asks it.
  input_checked boolean not null,
  idempotency_key text,
  correlation_id text,
  tags text[] not null default '{}',
  priority smallint not null default 0,
  run_at timestamptz(6),
  -- Whether the task ends is decided from these, on the locked row.
  step_count integer not null,
  unfinished_steps integer not null,
  runnable_steps integer not null,
  failed_steps integer not null default 0,
  life integer not null default 1,
  created_at timestamptz(6) not null,
  life_started_at timestamptz(6) not null,
  changed_at timestamptz(6) not null,
  ended_at timestamptz(6),
  constraint counters_fit check (unfinished_steps between 0 and step_count and runnable_steps between 0 and unfinished_steps
    and failed_steps between 0 and step_count),
  constraint ended_or_ended_at_null check ((ended_at is not null) = (state in ('complete', 'error', 'cancelled', 'resolved_manually')))
) with (fillfactor = 80);
-- Creation with an idempotency key finds the first task by it.
create unique index tasks_idempotency_key on tasker.tasks (named_task_id, idempotency_key) where idempotency_key is not null;
-- Lists are ordered by database time and id.
create index tasks_created_at on tasker.tasks (created_at, id);

create table tasker.workflow_steps (
  id uuid primary key,
  task_id uuid not null references tasker.tasks on delete cascade,
  named_task_id integer not null,
  named_step_id integer not null,
  item_index integer not null default 0,
  state tasker.step_state not null,
  priority smallint not null,
  run_at timestamptz(6),
  available_at timestamptz(6),
  unmet_dependencies integer not null constraint unmet_dependencies_not_negative check (unmet_dependencies >= 0),
  released_by uuid,
  life integer not null default 1,
  attempt integer not null default 0,
  failed_attempts integer not null default 0,
  lease_owner uuid,
  lease_expires_at timestamptz(6),
  run_us bigint,
  created_at timestamptz(6) not null,
  life_started_at timestamptz(6) not null,
  ready_at timestamptz(6),
  first_started_at timestamptz(6),
  started_at timestamptz(6),
  finished_at timestamptz(6),
  constraint step_is_unique_within_task unique (task_id, named_step_id, item_index),
  constraint times_are_ordered check (created_at <= life_started_at and life_started_at <= ready_at
    and ready_at <= first_started_at and first_started_at <= started_at and started_at <= finished_at),
  constraint leased_or_lease_null check ((state = 'in_progress') = (lease_owner is not null)
    and (lease_owner is null) = (lease_expires_at is null)),
  -- A step that waits without a time from which it may run would never be claimed.
  constraint claimable_or_available_at_null check ((available_at is not null) = (state in ('enqueued', 'waiting_for_retry'))),
  constraint finished_or_finished_at_null check ((finished_at is not null) =
    (state in ('complete', 'error', 'cancelled', 'resolved_manually', 'skipped', 'blocked')))
) with (fillfactor = 80);
-- The claim: what may run, in the order in which it is claimed.
-- named_step_id is a key so that steps of other workers' kinds are passed over in the index, not looked up in the table.
create index workflow_steps_claimable on tasker.workflow_steps (priority desc, available_at, id, named_step_id)
  where state in ('enqueued', 'waiting_for_retry');
-- The backlog's oldest claimable step, without reading the queue.
create index workflow_steps_backlog on tasker.workflow_steps (available_at) where state in ('enqueued', 'waiting_for_retry');
-- Rescue, liveness and the running figures of the analytics.
create index workflow_steps_leased on tasker.workflow_steps (lease_expires_at) include (named_step_id, started_at)
  where state = 'in_progress';

create table tasker.workflow_step_edges (
  parent_step_id uuid not null references tasker.workflow_steps on delete cascade,
  child_step_id uuid not null,
  primary key (parent_step_id, child_step_id));
-- A claimed step collects its parents' outputs.
create index workflow_step_edges_child on tasker.workflow_step_edges (child_step_id);

-- One row per attempt that ended; `result_is_recorded_once` is the promise of its name.
create table tasker.workflow_step_results (
  step_id uuid not null references tasker.workflow_steps on delete cascade,
  life integer not null,
  attempt integer not null,
  succeeded boolean not null,
  output jsonb,
  error jsonb,
  run_us bigint,
  recorded_at timestamptz(6) not null,
  primary key (step_id, life, attempt));
create unique index result_is_recorded_once on tasker.workflow_step_results (step_id) where succeeded;

-- ---------------------------------------------------------------- transition logs (may be pruned without harm)

create table tasker.task_transitions (
  task_id uuid not null,
  from_state tasker.task_state,
  to_state tasker.task_state not null,
  life integer not null,
  actor text,
  reason text,
  recorded_at timestamptz(6) not null
) partition by range (recorded_at);
create table tasker.task_transitions_default partition of tasker.task_transitions default;
create index task_transitions_task on tasker.task_transitions (task_id, recorded_at);

create table tasker.workflow_step_transitions (
  step_id uuid not null,
  from_state tasker.step_state,
  to_state tasker.step_state not null,
  life integer not null,
  attempt integer not null,
  actor text,
  reason text,
  recorded_at timestamptz(6) not null
) partition by range (recorded_at);
create table tasker.workflow_step_transitions_default partition of tasker.workflow_step_transitions default;
create index workflow_step_transitions_step on tasker.workflow_step_transitions (step_id, recorded_at);

-- ---------------------------------------------------------------- access

create table tasker.api_keys (
  id uuid primary key,
  name text not null,
  key_sha256 bytea not null constraint key_is_stored_as_sha256 check (length(key_sha256) = 32),
  permissions text[] not null,
  namespaces text[],
  created_at timestamptz(6) not null default tasker.clock(),
  expires_at timestamptz(6),
  revoked_at timestamptz(6),
  constraint key_is_unique unique (key_sha256));

-- ---------------------------------------------------------------- maintenance

-- One leader per maintenance service; `fence` grows with every change of leader and fences what an old one still does.
create table tasker.service_leases (
  service text primary key,
  owner uuid not null,
  fence bigint not null,
  expires_at timestamptz(6) not null);
