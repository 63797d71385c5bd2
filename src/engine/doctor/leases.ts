import type { Timestamp } from "../../postgres/sql.ts";
import { type Check, findingsMax } from "./finding.ts";

/** A fleet that works returns an expired lease, and replaces a leader, within seconds. */
const graceSeconds = 60;

/** Attempts whose lease ran out long ago. Read from the index of leased steps. */
export const leases: Check = {
  name: "leases",
  async run(sql) {
    const rows = await sql.query<{ id: string; task_id: string; lease_expires_at: Timestamp }>({
      text: `select id, task_id, lease_expires_at from tasker.workflow_steps
        where state = 'in_progress' and lease_expires_at < tasker.clock() - $1 * interval '1 second'
        order by lease_expires_at limit $2`,
      values: [graceSeconds, findingsMax],
    });
    return rows.map(({ id, task_id, lease_expires_at }) => ({
      check: "leases",
      subject: `step ${id} of task ${task_id}`,
      problem: `is in progress by a lease that ended at ${lease_expires_at}, and nobody rescues it`,
      mend: "start a process that does the maintenance (tasker serve or tasker worker); it returns the step within seconds",
    }));
  },
};

/** Chores that nobody leads. Those that were ever led are known from their rows. */
export const leaders: Check = {
  name: "leaders",
  async run(sql) {
    const rows = await sql.query<{ service: string | null; expires_at: Timestamp | null }>({
      text: `select l.service, l.expires_at from (select 1) one left join tasker.service_leases l on true
        where l.service is null or l.expires_at < tasker.clock() - $1 * interval '1 second' order by l.service`,
      values: [graceSeconds],
    });
    return rows.map(({ service, expires_at }) => ({
      check: "leaders",
      subject: service === null ? "maintenance" : `the chore ${service}`,
      problem: isTime(expires_at) ? `has had no leader since ${expires_at}` : "has no leader",
      mend: "start a process that does the maintenance: tasker serve, or tasker worker",
    }));
  },
};

function isTime(at: Timestamp | null): at is Timestamp {
  return at !== null && at !== "-infinity";
}
