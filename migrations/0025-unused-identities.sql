-- Identities of the analytics are bounded, and those that nobody uses any more make room: of them all time is kept, and they no longer
-- count when another template is registered.

-- Since when an identity is unused. Null: it is in use.
alter table tasker.analytics_identities add column unused_since timestamptz(6);

-- Marks the templates, with their steps, of which nothing was registered and nothing ended in the last p_days days, and of which no
-- task is under way; about p_templates of them at most. Their rollups of before are deleted but for all time, which p_days beyond
-- the longest window leaves no answer without. Takes the mark from those that are used again. Returns how many templates it
-- marked and whether more are waiting.
create function tasker.age_unused_identities(p_days integer, p_templates integer, out aged bigint, out more boolean)
language plpgsql set jit = off set timezone = 'UTC' as $$
declare
  v_until constant timestamptz := date_trunc('day', tasker.clock(), 'UTC') - p_days * interval '24 hours';
  v_used integer[];
  v_templates integer[];
  v_ids integer[];
  v_table text;
begin
  -- Whoever folds or traces writes the same rows, in an order of its own.
  perform from tasker.fold_state for update;
  perform from tasker.critical_path_state for update;
  select array_agg(t.id) into v_used from tasker.analytics_identities t
    where (namespace_name, task_name, version) in (
      select i.namespace_name, i.task_name, i.version from tasker.analytics_identities i
        where i.id in (
          select id from tasker.analytics_identities where created_at >= v_until
          union all select identity_id from tasker.rollups where grain = 'a' and last_ended_at >= v_until
          union all select named_task_id from tasker.named_task_revisions where created_at >= v_until
          union all select identity_id from tasker.state_counts
            where subject = 'task' and state in ('pending', 'in_progress') and count > 0));
  update tasker.analytics_identities set unused_since = null where unused_since is not null and id = any (v_used);
  select array_agg(id) into v_templates from (
    select id from tasker.analytics_identities
      where step_name is null and unused_since is null and id <> all (coalesce(v_used, '{}')) order by id limit p_templates) x;
  aged := coalesce(cardinality(v_templates), 0);
  more := aged = p_templates;
  if aged = 0 then
    return;
  end if;
  v_ids := tasker.whole_templates(v_templates);
  update tasker.analytics_identities set unused_since = tasker.clock() where id = any (v_ids);
  foreach v_table in array array['rollups', 'rollup_histograms', 'critical_paths'] loop
    execute format('delete from tasker.%I where grain <> ''a'' and bucket_start < $1 and identity_id = any ($2)', v_table)
      using v_until, v_ids;
  end loop;
end $$;
