-- Facts of tasks are read twice, by the fold and for the critical paths: a day goes when both are done with it.

create or replace function tasker.holds_unfolded(p_partition text) returns boolean language plpgsql volatile as $$
declare
  v_state text;
  v_holds boolean;
begin
  foreach v_state in array case when p_partition like 'task\_facts\_%' then array['fold_state', 'critical_path_state'] else array['fold_state'] end loop
    execute format('select exists (select 1 from tasker.%1$I where tick >= s.watermark)
      or exists (select 1 from tasker.%1$I where tick = any (s.open_ticks)) from tasker.%2$I s', p_partition, v_state) into v_holds;
    if v_holds then
      return true;
    end if;
  end loop;
  return false;
end $$;
