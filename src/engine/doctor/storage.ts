import type { Timestamp } from "../../postgres/sql.ts";
import { type Check, findingsMax } from "./finding.ts";

/** Autovacuum begins at its threshold; at so many times that it does not keep up. */
const lateFactor = 3;
/** Below this nobody notices. */
const deadRowsMin = 10_000;

/** Dead rows beyond what autovacuum should leave, from the statistics: no table is read. */
export const bloat: Check = {
  name: "bloat",
  async run(sql) {
    const rows = await sql.query<{
      name: string;
      dead: number;
      live: number;
      due: number;
      vacuumed: Timestamp | null;
      on: boolean;
    }>({
      text: `with tables as (
          select s.relid, s.relname, s.n_dead_tup, s.n_live_tup, greatest(s.last_vacuum, s.last_autovacuum) as vacuumed,
              coalesce((select option_value::boolean from pg_options_to_table(c.reloptions) where option_name = 'autovacuum_enabled'), true)
                and current_setting('autovacuum')::boolean as enabled,
              coalesce((select option_value::float from pg_options_to_table(c.reloptions) where option_name = 'autovacuum_vacuum_threshold'),
                current_setting('autovacuum_vacuum_threshold')::float)
              + coalesce((select option_value::float from pg_options_to_table(c.reloptions) where option_name = 'autovacuum_vacuum_scale_factor'),
                current_setting('autovacuum_vacuum_scale_factor')::float) * greatest(c.reltuples, 0) as due
            from pg_stat_user_tables s join pg_class c on c.oid = s.relid where s.schemaname = 'tasker')
        select relname as name, n_dead_tup as dead, n_live_tup as live, round(due::numeric) as due, vacuumed, enabled as on from tables
          where not enabled or n_dead_tup > greatest($1, $2 * due) order by n_dead_tup desc, relname limit $3`,
      values: [deadRowsMin, lateFactor, findingsMax],
    });
    return rows.map(({ name, dead, live, due, vacuumed, on }) => ({
      check: "bloat",
      subject: `table tasker.${name}`,
      problem: on
        ? `${dead} dead rows beside ${live} live ones; autovacuum was due at ${due}, the last vacuum was ${vacuumed ?? "never"}`
        : "autovacuum is off for it",
      mend: on
        ? `vacuum (analyze) tasker.${name}; if the rows stay, an old transaction keeps them`
        : `alter table tasker.${name} reset (autovacuum_enabled), or autovacuum = on in postgresql.conf`,
    }));
  },
};

/** Nothing of Tasker's is open for so long. */
const oldMinutes = 60;

/** Transactions that keep every dead row of the database, and hold facts back from being folded for good. */
export const horizon: Check = {
  name: "horizon",
  async run(sql) {
    const rows = await sql.query<{ who: string; since: Timestamp; pid: number | null; gid: string | null }>({
      text: `select * from (
          select coalesce(nullif(application_name, ''), 'a client') || ' (' || coalesce(usename, '?') || ')' as who, xact_start as since, pid, null as gid
            from pg_stat_activity where datname = current_database() and backend_type = 'client backend' and backend_xmin is not null
              and pid <> pg_backend_pid()
          union all
          select 'a prepared transaction of ' || owner, prepared, null, gid from pg_prepared_xacts where database = current_database()) o
        where since < tasker.clock() - $1 * interval '1 minute' order by since limit $2`,
      values: [oldMinutes, findingsMax],
    });
    return rows.map(({ who, since, pid, gid }) => ({
      check: "horizon",
      subject: who,
      problem: `holds a transaction open since ${since}: no dead row since then can be removed`,
      mend:
        pid === null
          ? `rollback prepared '${(gid ?? "").replaceAll("'", "''")}', or commit it`
          : `end it where it is, or select pg_terminate_backend(${pid})`,
    }));
  },
};

/** The chore makes seven days; a day may have begun since it ran. */
const daysAhead = 6;

/** Days for which a partition should have been made. The tables are those that have daily ones. */
export const partitions: Check = {
  name: "partitions",
  async run(sql) {
    const rows = await sql.query<{ parent: string; days: string[] }>({
      text: `with parents as (
          select p.oid, p.relname from pg_class p where p.relnamespace = 'tasker'::regnamespace and p.relkind = 'p'
            and to_regclass(format('tasker.%I', p.relname || '_default')) is not null)
        select p.relname as parent, array_agg(to_char(d, 'YYYY-MM-DD') order by d) as days from parents p
          cross join generate_series((tasker.clock() at time zone 'UTC')::date::timestamp,
            ((tasker.clock() at time zone 'UTC')::date + $1::integer)::timestamp, interval '1 day') d
          where to_regclass(format('tasker.%I', p.relname || '_' || to_char(d, 'YYYYMMDD'))) is null
          group by p.relname order by p.relname`,
      values: [daysAhead],
    });
    return rows.map(({ parent, days }) => ({
      check: "partitions",
      subject: `table tasker.${parent}`,
      problem: `has no partition for ${days.join(", ")}`,
      mend: "select tasker.ensure_partitions(7), and start a process that does the maintenance",
    }));
  },
};

/** More rows than this are told as so many. */
const countedMax = 10_000;

/** Rows that came when their day had no partition. */
export const strays: Check = {
  name: "strays",
  async run(sql) {
    const parents = await sql.query<{ name: string }>({
      text: `select c.relname as name from pg_class c join pg_inherits i on i.inhrelid = c.oid
        where c.relnamespace = 'tasker'::regnamespace and c.relname like '%\\_default' and pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT'
        order by c.relname`,
    });
    const found = await Promise.all(
      parents.map(async ({ name }) => {
        const [row] = await sql.query<{ rows: number }>({
          // The name comes from the catalog, and holds what our migrations call it.
          text: `select count(*) as rows from (select from tasker."${name}" limit ${countedMax}) r`,
        });
        return { name, rows: row?.rows ?? 0 };
      }),
    );
    return found
      .filter(({ rows }) => rows > 0)
      .map(({ name, rows }) => ({
        check: "strays",
        subject: `table tasker.${name}`,
        problem: `holds ${rows === countedMax ? `${countedMax} rows or more` : `${rows} rows`}, for days that had no partition; they are counted, but not dropped with their day`,
        mend: "keep a process with the maintenance running, so that days get their partitions in time; docs/operations.md says how to move the rows",
      }));
  },
};
