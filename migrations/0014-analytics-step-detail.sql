-- One step looked at closely.

-- A bucket of the histograms in seconds: durations above from_seconds up to to_seconds, for which value_seconds stands.
create function tasker.bucket_bounds(p_key integer, out from_seconds double precision, out to_seconds double precision,
  out value_seconds double precision) language sql immutable parallel safe as $$
  select case when p_key < 0 then 0 else power(1.01::double precision / 0.99, p_key - 1) / 1000000 end,
      case when p_key < 0 then 0 else power(1.01::double precision / 0.99, p_key) / 1000000 end,
      tasker.bucket_us(p_key) / 1000000
$$;

-- The histogram of the completed lives of an identity in the window of p_hours that ends at p_now, shortest first; buckets
-- that hold nothing are left out.
create function tasker.get_histogram(p_identity_id integer, p_hours integer default 24, p_now timestamptz default tasker.clock())
returns table (key integer, from_seconds double precision, to_seconds double precision, value_seconds double precision, count bigint)
language sql stable as $$
  select h.key, b.from_seconds, b.to_seconds, b.value_seconds, h.n
    from tasker.window_histograms(tasker.window_start(p_hours, p_now), p_now, array[p_identity_id]) h
    cross join lateral tasker.bucket_bounds(h.key) b
    order by h.key
$$;

-- Tasks of whose step a completed run lasted about as long as p_key says (a bucket of the histogram), from p_from on, the nearest
-- first; none once their facts are gone. The step's histograms tell in which hours there are any: only the facts of the latest
-- three such hours are read, and those that are not folded.
create function tasker.get_step_examples(p_identity_id integer, p_key integer, p_from timestamptz, p_now timestamptz, p_limit integer)
returns table (task_id uuid, ended_at timestamptz, duration_seconds double precision)
language plpgsql stable set plan_cache_mode = force_custom_plan set jit = off set timezone = 'UTC' as $$
#variable_conflict use_column
declare
  -- About a tenth to either side.
  c_near constant integer := 5;
  v_keys integer[] := array(select generate_series(p_key - c_near, p_key + c_near));
  v_facts_from timestamptz;
  v_hours timestamptz[];
begin
  -- Before the oldest partition there are no facts, unless some lie outside the daily ones.
  select to_date(min(right(c.relname, 8)), 'YYYYMMDD')::timestamptz into v_facts_from
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'tasker.step_facts'::regclass and c.relname ~ '_[0-9]{8}$'
      and not exists (select from tasker.step_facts_default);
  v_facts_from := greatest(p_from, v_facts_from);
  select array_agg(h.bucket_start) into v_hours from (
    select bucket_start from tasker.rollup_histograms
      where grain = 'h' and identity_id = p_identity_id and bucket_start >= date_trunc('hour', v_facts_from) and keys && v_keys
      order by bucket_start desc limit 3) h;
  return query
    select x.task_id, x.ended_at, x.us / 1000000.0::double precision from (
        select f.task_id, f.ended_at, f.run_us as us from unnest(v_hours) h
          join tasker.step_facts f on f.ended_at >= h and f.ended_at < h + interval '1 hour'
          where f.identity_id = p_identity_id and f.outcome = 'complete' and f.ended_at >= p_from
        union
        select f.task_id, f.ended_at, f.duration_us
          from tasker.facts_outside_rollups(p_from, (tasker.window_pieces(p_from, p_now)).hours_from, array[p_identity_id]) f
          where f.completed = 1) x
      where tasker.bucket_key(x.us) = any (v_keys)
      order by abs(x.us - tasker.bucket_us(p_key)), x.ended_at desc, x.task_id limit p_limit;
end $$;
