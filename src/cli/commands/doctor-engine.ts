import { readUnclaimable } from "../../analytics/unclaimable.ts";
import { differingCounts } from "../../analytics/doctor.ts";
import { hasMoved } from "../../analytics/restore-guard.ts";
import type { Config } from "../../config/schema.ts";
import { examineEngine } from "../../engine/doctor/checks.ts";
import { recountTasks } from "../../engine/doctor/counters.ts";
import type { Finding } from "../../engine/doctor/finding.ts";
import { findSchemaDrift, type SchemaDrift } from "../../postgres/schema-objects.ts";
import type { Database, Sql } from "../../postgres/sql.ts";
import { CommandError } from "../command-error.ts";
import { count, plural } from "../format.ts";
import { databaseHost } from "../settings.ts";
import type { Terminal } from "../terminal.ts";

export interface EngineDoctorOptions {
  readonly tasks: number;
  readonly fix?: boolean;
  readonly json?: boolean;
}

/** What was looked at, beside what is wrong. */
interface Report {
  readonly tasks_examined: number;
  /** By the statistics. */
  readonly tasks_about: number;
  readonly counts_by_state: "recounted" | "not recounted";
  readonly fixed?: { readonly tasks: number; readonly rows: number };
  readonly findings: readonly Finding[];
}

/** With more tasks than `--tasks` these are not read one by one to compare them with the counts by state. */
const countsSkipped = "not recounted" as const;

/**
 * Looks for what is wrong with the schema, the engine and what is kept of it, after mending the counters when asked to.
 *
 * @throws CommandError when anything is wrong
 */
export async function doctorEngine(
  terminal: Terminal,
  config: Config,
  database: Database,
  options: EngineDoctorOptions,
): Promise<void> {
  const { tasks, fix = false, json = false } = options;
  const drift = (await findSchemaDrift(database)).map(driftFinding);
  // The other checks, and the mend, ask for what the migrations made.
  const isReadable = !drift.some(lacksWhatIsRead);
  const report: Report = isReadable
    ? await examine(database, tasks, fix)
    : { tasks_examined: 0, tasks_about: 0, counts_by_state: countsSkipped, findings: [] };
  const findings = [...drift, ...report.findings];
  const whole = { ...report, findings };
  if (json) terminal.print(JSON.stringify(whole, null, 2));
  else for (const line of linesOf(whole, isReadable)) terminal.print(line);
  if (findings.length > 0) throw new CommandError(`${databaseHost(config)} needs ${plural(findings.length, "mend")}`);
}

async function examine(database: Database, tasks: number, fix: boolean): Promise<Report> {
  const recount = fix ? await recountTasks(database, { tasks }) : undefined;
  const size = await sizeOf(database, tasks);
  const isSmall = size.tasks_examined < tasks;
  return {
    ...size,
    counts_by_state: isSmall ? "recounted" : countsSkipped,
    ...(recount === undefined ? {} : { fixed: { tasks: recount.tasks, rows: recount.changed } }),
    findings: [
      ...(await examineEngine(database, { tasks })),
      ...(isSmall ? await countFindings(database) : []),
      ...(await unclaimableFindings(database)),
      ...(await guardFindings(database)),
    ],
  };
}

async function sizeOf(sql: Sql, tasks: number): Promise<Pick<Report, "tasks_examined" | "tasks_about">> {
  const [size] = await sql.query<Pick<Report, "tasks_examined" | "tasks_about">>({
    text: `select (select count(*) from (select from tasker.tasks limit $1) t) as tasks_examined,
      (select greatest(reltuples, 0)::bigint from pg_class where oid = 'tasker.tasks'::regclass) as tasks_about`,
    values: [tasks],
  });
  if (size === undefined) throw new Error("the database counted nothing");
  return { ...size, tasks_about: Math.max(size.tasks_about, size.tasks_examined) };
}

async function countFindings(database: Database): Promise<Finding[]> {
  const differences = await differingCounts(database);
  return differences.map(({ namespace_name, task_name, version, field, analytics, recounted }) => ({
    check: "counts",
    subject: `${field} of ${namespace_name}/${task_name} ${version}`,
    problem: `the analytics count ${String(analytics)}, a recount finds ${String(recounted)}`,
    mend: "tasker doctor --analytics compares everything; report it with its output, since no transition leaves them apart",
  }));
}

async function unclaimableFindings(sql: Sql): Promise<Finding[]> {
  const kinds = await readUnclaimable(sql);
  return kinds.map(({ namespace_name, task_name, version, step_name, steps, steps_is_exact, oldest_seconds }) => ({
    check: "unclaimable",
    subject: `${namespace_name}/${task_name} ${version} ${step_name}`,
    problem: `${steps_is_exact ? "" : "at least "}${plural(steps, "step")} could have been claimed for up to ${Math.floor(oldest_seconds)} s, and no live worker has a handler for them`,
    mend: "start a worker whose tasks include this version (tasker worker --tasks <module>), or cancel the tasks",
  }));
}

async function guardFindings(sql: Sql): Promise<Finding[]> {
  if (!(await hasMoved(sql))) return [];
  return [
    {
      check: "restore guard",
      subject: "the database",
      problem: "was moved to another cluster, and its facts still count by the transactions of the old one",
      mend: "start any process of Tasker, which adopts it at its start, or select tasker.adopt_cluster()",
    },
  ];
}

/** Without an index or a constraint everything can still be read. */
function lacksWhatIsRead({ subject, problem }: Finding): boolean {
  if (problem === lacking.pending) return true;
  return problem === lacking.missing && !/^(?:index|constraint) /u.test(subject);
}

const lacking = { pending: "is not applied", missing: "is not there" } as const;

const driftWords: Readonly<Record<SchemaDrift["state"], readonly [problem: string, mend: string]>> = {
  pending: [lacking.pending, "tasker migrate"],
  unknown: ["was applied by another version of Tasker", "use that version, or a newer one"],
  changed: [
    "is not what the migrations made",
    "put it back as its file in migrations/ has it, and what you need into an object of your own",
  ],
  missing: [lacking.missing, "create it again as its file in migrations/ does"],
  added: ["was not made by a migration", "move it to a schema of your own, or drop it"],
  invalid: ["is not valid: building it was interrupted", "reindex index concurrently tasker.<name>"],
  unrecorded: ["has no record of what the migrations made", "tasker migrate makes one, of what is there then"],
};

function driftFinding({ subject, state }: SchemaDrift): Finding {
  const [problem, mend] = driftWords[state];
  return { check: "schema", subject, problem, mend: mend.replace("<name>", subject.replace("index ", "")) };
}

function linesOf(report: Report, isReadable: boolean): string[] {
  const { tasks_examined, tasks_about, counts_by_state, fixed, findings } = report;
  const examined = isReadable
    ? [
        counts_by_state === countsSkipped
          ? `tasks   the newest ${count(tasks_examined)} of about ${count(tasks_about)} recounted`
          : `tasks   all ${count(tasks_examined)} recounted`,
        `counts  by state ${counts_by_state}${counts_by_state === countsSkipped ? ": --tasks raises the bound" : ""}`,
        ...(fixed === undefined ? [] : [`fixed   ${plural(fixed.rows, "row")} of ${plural(fixed.tasks, "task")}`]),
      ]
    : ["only the schema was examined: the rest needs what it lacks"];
  if (findings.length === 0) return [...examined, "nothing is wrong"];
  return [
    ...examined,
    ...findings.flatMap(({ check, subject, problem, mend }) => [
      "",
      `${check}: ${subject} ${problem}`,
      `  mend: ${mend}`,
    ]),
  ];
}
