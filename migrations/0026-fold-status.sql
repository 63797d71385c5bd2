-- What the fold waits for, by name: for the health of a process and for whoever wonders why answers become slow.

-- behind_seconds: since the last fold. open_transactions: those that the last fold found open, whose rows it left. The others speak of
-- the oldest transaction in the cluster that may have written and is still open (a prepared one has no process): while it is, old
-- versions of the rollups' rows stay, and reading them becomes slower. Null when there is none, or none that this role may see.
create function tasker.get_fold_status()
returns table (folded_at timestamptz, behind_seconds double precision, open_transactions integer, oldest_seconds double precision,
  oldest_database text, oldest_pid integer, oldest_prepared text, oldest_application text, oldest_state text)
language sql stable set jit = off as $$
  select f.folded_at, greatest(0, extract(epoch from tasker.clock() - f.folded_at))::double precision, cardinality(f.open_ticks),
      greatest(0, extract(epoch from clock_timestamp() - o.since))::double precision, o.database, o.pid, o.gid, o.application, o.state
    from tasker.fold_state f left join lateral (
      select datname::text as database, pid, null::text as gid, application_name as application, state, xact_start as since
        from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid()
      union all
      select database::text, null, gid, null, 'prepared', prepared from pg_prepared_xacts
      order by since limit 1) o on true
$$;
