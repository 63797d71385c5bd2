-- Rollups by the hour are kept for a time, days and all time for ever; and a window begins where its figures are complete.

-- What is complete from when on. Whoever drops facts or hours moves these first, in the same transaction, and never back.
-- -infinity: nothing was dropped yet.
create table tasker.retention_state (
  only_row boolean primary key default true constraint there_is_one_retention_state check (only_row),
  facts_from timestamptz not null default '-infinity',
  hours_from timestamptz not null default '-infinity');
insert into tasker.retention_state default values;

-- The window's beginning: `p_hours` before `p_now`, down to the minute up to 48 h, to the hour beyond that or where facts are gone,
-- to the UTC day where hours are gone. Null for all history.
create or replace function tasker.window_start(p_hours integer, p_now timestamptz) returns timestamptz language sql stable as $$
  select case when p_hours = 0 then null
    else (select date_trunc(
        case when asked < r.hours_from then 'day' when p_hours <= 48 and asked >= r.facts_from then 'minute' else 'hour' end, asked, 'UTC')
      from (select p_now - p_hours * interval '1 hour' as asked) w, tasker.retention_state r) end
$$;

-- As in 0009, and says from when on facts are complete.
create or replace function tasker.drop_expired_partitions(p_days integer) returns text[] language plpgsql as $$
declare
  v_part record;
  v_dropped text[] := '{}';
  v_until date;
begin
  perform set_config('lock_timeout', '500ms', true);
  for v_part in
    select c.relname as name, p.relname as parent from pg_inherits i
      join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
      where p.oid = any (array['tasker.step_facts', 'tasker.task_facts', 'tasker.state_deltas']::regclass[])
        and c.relname ~ '_[0-9]{8}$'
        and to_date(right(c.relname, 8), 'YYYYMMDD') + 1 <= ((tasker.clock() at time zone 'UTC')::date - p_days)
      order by c.relname loop
    continue when tasker.holds_unfolded(v_part.name);
    begin
      -- The parent first, as writers do.
      execute format('lock table only tasker.%I in access exclusive mode', v_part.parent);
      execute format('lock table tasker.%I in access exclusive mode', v_part.name);
      continue when tasker.holds_unfolded(v_part.name);
      execute format('drop table tasker.%I', v_part.name);
      v_dropped := v_dropped || v_part.name::text;
      v_until := greatest(v_until, to_date(right(v_part.name, 8), 'YYYYMMDD') + 1);
    exception when lock_not_available then
      exit;
    end;
  end loop;
  if v_until is not null then
    update tasker.retention_state set facts_from = greatest(facts_from, v_until::timestamp at time zone 'UTC');
  end if;
  return v_dropped;
end $$;

-- Deletes the rollups by the hour and by the quarter of UTC days that ended more than p_days days ago, the oldest first, about p_rows rows of each
-- table at most. Returns how many rows it deleted and whether more are waiting. From the first of them on windows that reach back
-- there begin at a day.
create function tasker.delete_expired_hours(p_days integer, p_rows integer, out deleted bigint, out more boolean)
language plpgsql set jit = off set timezone = 'UTC' as $$
declare
  v_until constant timestamptz := date_trunc('day', tasker.clock(), 'UTC') - p_days * interval '24 hours';
  v_table text;
  v_deleted bigint;
begin
  -- Whoever folds or traces writes the same rows, in an order of its own.
  perform from tasker.fold_state for update;
  perform from tasker.critical_path_state for update;
  deleted := 0;
  more := false;
  update tasker.retention_state set hours_from = v_until where hours_from < v_until;
  foreach v_table in array array['rollups', 'rollup_histograms', 'overall_histograms', 'critical_paths'] loop
    execute format($q$
      delete from tasker.%1$I where ctid = any (array(
        select ctid from tasker.%1$I where grain in ('h', 'q') and bucket_start < $1 order by bucket_start limit $2))$q$, v_table)
      using v_until, p_rows;
    get diagnostics v_deleted = row_count;
    deleted := deleted + v_deleted;
    more := more or v_deleted = p_rows;
  end loop;
end $$;

-- As in 0017, but each grain from the identities' own: hours may be gone of which the days and all time still tell.
create or replace function tasker.rebuild_overall_histograms() returns void language plpgsql set jit = off set timezone = 'UTC' as $$
begin
  perform from tasker.fold_state for update;
  delete from tasker.overall_histograms;
  insert into tasker.overall_histograms (grain, bucket_start, is_task, keys, counts)
  select grain, bucket_start, is_task, array_agg(key order by key), array_agg(n order by key) from (
      select grain, bucket_start, is_task, key, sum(n)::bigint as n from (
          select h.grain, h.bucket_start, i.step_name is null as is_task, unnest(h.keys) as key, unnest(h.counts) as n
            from tasker.rollup_histograms h join tasker.analytics_identities i on i.id = h.identity_id) u
        group by 1, 2, 3, 4) x
    group by 1, 2, 3;
end $$;
