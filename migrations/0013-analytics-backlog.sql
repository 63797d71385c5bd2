-- What waits for workers, namespace by namespace, at a cost that neither history nor the length of the queue changes: counts by
-- state, and index probes of bounded length. An autoscaler may ask for it all the time.

-- Probes of one template's queue: its oldest claimable step, and how many there are up to a bound.
create index workflow_steps_backlog_of_template on tasker.workflow_steps (named_task_id, available_at)
  where state in ('enqueued', 'waiting_for_retry');

-- The executions of the latest facts, at most p_rows of them and none that ended more than five minutes before p_now, by
-- namespace; and the time that they took. A busy system is measured over a shorter time than a calm one.
create function tasker.recent_executions(p_now timestamptz, p_rows integer)
returns table (namespace_name text, executions bigint, measured_seconds double precision)
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off
set enable_seqscan = off set enable_sort = off set enable_bitmapscan = off as $$
#variable_conflict use_column
begin
  return query
    with latest as materialized (
      select f.identity_id, f.ended_at, f.outcome in ('complete', 'error') as is_execution
        from tasker.step_facts f order by f.tick desc limit p_rows),
    recent as materialized (select * from latest where ended_at > p_now - interval '5 minutes'),
    measured as (
      -- Unless the bound cut it off, all of the five minutes was looked at.
      select case when (select count(*) from recent) < p_rows then 300
          else greatest(extract(epoch from p_now - (select min(ended_at) from recent)), 0.001) end::double precision as seconds)
    select i.namespace_name, count(*) filter (where r.is_execution), m.seconds
      from recent r join tasker.analytics_identities i on i.id = r.identity_id cross join measured m
      group by i.namespace_name, m.seconds;
end $$;

-- queued_steps: enqueued and waiting for a retry; claimable_steps: those of them that may run by now. Where a template has
-- both more than a thousand that may and more than a thousand that may not yet, the latter are counted up to a thousand only:
-- claimable_steps is then an upper bound, and claimable_is_exact false. drain_seconds: at the pace of the last five minutes;
-- null when nothing ended in them.
create function tasker.get_backlog(p_namespace text default null, p_now timestamptz default tasker.clock())
returns table (namespace_name text, queued_steps bigint, claimable_steps bigint, claimable_is_exact boolean,
  oldest_claimable_seconds double precision, running_steps bigint, executions_per_second double precision,
  drain_seconds double precision)
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off
set enable_seqscan = off set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
  v_ids integer[] := tasker.filtered_identities(p_namespace, null, null);
  c_probe constant integer := 1000;
begin
  return query
    with counts as materialized (
      select identity_id, coalesce(sum(count) filter (where state in ('enqueued', 'waiting_for_retry')), 0) as queued,
          coalesce(sum(count) filter (where state = 'in_progress'), 0) as running, min(first_at) as first_at
        from tasker.current_counts(v_ids) where subject = 'step' group by identity_id),
    probed as materialized (
      select c.identity_id, d.n as due, d.oldest, case when d.n = c_probe then (
          select count(*) from (
            select from tasker.workflow_steps s
              where s.named_task_id = c.identity_id and s.state in ('enqueued', 'waiting_for_retry') and s.available_at > p_now
              order by s.named_task_id, s.available_at limit c_probe) x) end as later
        from counts c cross join lateral (
          select count(*) as n, min(x.available_at) as oldest from (
            select s.available_at from tasker.workflow_steps s
              where s.named_task_id = c.identity_id and s.state in ('enqueued', 'waiting_for_retry') and s.available_at <= p_now
              order by s.named_task_id, s.available_at limit c_probe) x) d
        where c.queued > 0),
    templates as (
      select i.namespace_name as name, c.queued, c.running, c.first_at, p.oldest,
          case when p.due < c_probe then p.due else c.queued - p.later end as claimable,
          p.due < c_probe or p.later < c_probe as is_exact
        from counts c join tasker.analytics_identities i on i.id = c.identity_id left join probed p on p.identity_id = c.identity_id),
    namespaces as (
      select n.name, coalesce(sum(t.queued), 0)::bigint as queued, coalesce(sum(t.claimable), 0)::bigint as claimable,
          coalesce(bool_and(t.is_exact), true) as is_exact,
          extract(epoch from p_now - min(t.oldest))::double precision as oldest, coalesce(sum(t.running), 0)::bigint as running,
          extract(epoch from p_now - min(t.first_at))::double precision as age
        from tasker.task_namespaces n left join templates t on t.name = n.name
        where p_namespace is null or n.name = p_namespace group by n.name)
    select n.name, n.queued, n.claimable, n.is_exact, n.oldest, n.running, r.pace,
        case when n.claimable = 0 then 0 else n.claimable / nullif(r.pace, 0) end
      from namespaces n
      left join tasker.recent_executions(p_now, 5000) e on e.namespace_name = n.name
      -- What began less than five minutes ago had no more time than that.
      cross join lateral (select coalesce(e.executions / least(e.measured_seconds, greatest(n.age, 1)), 0) as pace) r
      order by n.name;
end $$;
