-- Which steps somebody could claim. Each worker keeps a row here, renewed with its leases, of the kinds that it has handlers for.
create table tasker.live_workers (
  id uuid primary key,
  named_step_ids integer[] not null,
  started_at timestamptz(6) not null,
  expires_at timestamptz(6) not null
) with (fillfactor = 50);

-- Announces a worker, or that it still lives. Rows of those that are gone are kept for an hour.
create function tasker.announce_worker(p_id uuid, p_named_step_ids integer[], p_lease_ms integer) returns void language sql as $$
  delete from tasker.live_workers where id in (
    select w.id from tasker.live_workers w where w.expires_at < tasker.clock() - interval '1 hour' for update skip locked);
  insert into tasker.live_workers (id, named_step_ids, started_at, expires_at)
    values (p_id, p_named_step_ids, tasker.clock(), tasker.clock() + p_lease_ms * interval '1 millisecond')
    on conflict (id) do update set named_step_ids = excluded.named_step_ids, expires_at = excluded.expires_at;
$$;

-- Steps that could have been claimed for a minute, by kind, where no worker that lived in that minute has a handler for them: the
-- hundred kinds of the longest wait. Only of templates with such kinds is the queue looked at, and there at its oldest thousand steps:
-- steps_is_exact is false when there may be more. A worker in its restart is no reason to report its steps.
create function tasker.unclaimable_steps(p_namespace text default null, p_now timestamptz default tasker.clock())
returns table (namespace_name text, task_name text, version text, step_name text, steps bigint, steps_is_exact boolean,
  oldest_seconds double precision)
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off
set enable_seqscan = off set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
  v_since timestamptz := p_now - interval '60 seconds';
  v_handled integer[];
  c_probe constant integer := 1000;
begin
  select coalesce(array_agg(distinct k), '{}') into v_handled
    from tasker.live_workers w cross join unnest(w.named_step_ids) k where w.expires_at > v_since;
  return query
    with suspects as materialized (
      select distinct s.named_task_id from tasker.named_steps s join tasker.analytics_identities i on i.id = s.id
        where s.id <> all (v_handled) and (p_namespace is null or i.namespace_name = p_namespace)),
    oldest as materialized (
      select x.named_step_id, x.available_at, count(*) over (partition by t.named_task_id) < c_probe as is_all
        from suspects t cross join lateral (
          select s.named_step_id, s.available_at from tasker.workflow_steps s
            where s.named_task_id = t.named_task_id and s.state in ('enqueued', 'waiting_for_retry') and s.available_at <= v_since
            order by s.named_task_id, s.available_at limit c_probe) x)
    select i.namespace_name, i.task_name, i.version, i.step_name, count(*), bool_and(o.is_all),
        extract(epoch from p_now - min(o.available_at))::double precision
      from oldest o join tasker.analytics_identities i on i.id = o.named_step_id
      where o.named_step_id <> all (v_handled)
      group by i.id
      order by min(o.available_at), i.namespace_name, i.task_name, i.version, i.step_name
      limit 100;
end $$;
