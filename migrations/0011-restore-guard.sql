-- After a dump and restore into another cluster the transaction counter may stand lower than the ticks that came along: new facts
-- would lie below the watermark, count as folded and never be seen. So ticks move up by a generation whenever the database
-- finds itself in another cluster.

-- Whether the database was moved: another cluster's identifier, or a watermark that this cluster has not reached.
create function tasker.has_moved() returns boolean language sql stable as $$
  select g.system_identifier <> (select system_identifier::text from pg_control_system())
      or f.watermark > now.upto or c.watermark > now.upto
    from tasker.tick_generation g, tasker.fold_state f, tasker.critical_path_state c, tasker.snapshot_ticks() now
$$;

-- If the database was moved: folds and traces all that came along, raises the generation and lets both watermarks begin with it.
-- Of several callers one does it (adopted), the others wait. Locks in the order of the fold and the tracer; that of the
-- generation's table waits for all transactions that have taken a tick, and holds back those that want one.
create function tasker.adopt_cluster(out adopted boolean, out folded bigint, out generation integer) language plpgsql as $$
declare
  v_fold tasker.fold_state;
  v_paths tasker.critical_path_state;
  v_base bigint;
begin
  select * into strict v_fold from tasker.fold_state for update;
  select * into strict v_paths from tasker.critical_path_state for update;
  lock table tasker.tick_generation in access exclusive mode;
  adopted := tasker.has_moved();
  folded := 0;
  if not adopted then
    return;
  end if;
  update tasker.tick_generation g set generation = g.generation + 1,
      system_identifier = (select c.system_identifier::text from pg_control_system() c)
    returning g.generation into strict adopt_cluster.generation;
  v_base := adopt_cluster.generation::bigint << 48;
  folded := tasker.fold_ticks(v_fold.open_ticks, v_fold.watermark, v_base, '{}');
  update tasker.fold_state set watermark = v_base, open_ticks = '{}', folded_at = tasker.clock();
  perform tasker.trace_ticks(v_paths.open_ticks, v_paths.watermark, v_base, '{}');
  update tasker.critical_path_state set watermark = v_base, open_ticks = '{}';
end $$;
