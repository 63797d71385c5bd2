import type { Chore } from "../engine/maintenance.ts";
import type { Sql } from "../postgres/sql.ts";
import type { Logger } from "../runtime/logging.ts";

/** A template of which nothing ended for so many days counts as unused: more than the longest window, which is 8,760 hours. */
export const unusedAfterDays = 400;

/** So many rows of a table, and so many templates, at once: the fold waits meanwhile. */
const rowsAtOnce = 20_000;
const templatesAtOnce = 100;

/** Keeping the rollups bounded as a chore: deletes hours past retention, and all but all time of what nobody uses any more. */
export function rollupRetentionChore(options: {
  readonly sql: Sql;
  readonly intervalMs: number;
  readonly hoursRetentionDays: number;
  readonly logger: Logger;
}): Chore {
  const { sql, intervalMs, hoursRetentionDays, logger } = options;
  return {
    name: "rollup_retention",
    intervalMs,
    async runOnce() {
      const [hours] = await sql.query<{ deleted: number; more: boolean }>({
        text: "select deleted, more from tasker.delete_expired_hours($1, $2)",
        values: [hoursRetentionDays, rowsAtOnce],
      });
      const [unused] = await sql.query<{ aged: number; more: boolean }>({
        text: "select aged, more from tasker.age_unused_identities($1, $2)",
        values: [unusedAfterDays, templatesAtOnce],
      });
      if (hours === undefined || unused === undefined) return false;
      if (hours.deleted > 0) logger.info({ rows: hours.deleted }, "rollups by the hour past retention deleted");
      if (unused.aged > 0) {
        logger.info(
          { templates: unused.aged, days: unusedAfterDays },
          "unused templates keep their all-time figures only",
        );
      }
      return hours.more || unused.more;
    },
  };
}
