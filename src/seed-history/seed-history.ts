import { type BulkLoader, bulkLoad } from "../postgres/bulk-load.ts";
import { migrationStatus } from "../postgres/migrate.ts";
import type { Database, Sql } from "../postgres/sql.ts";
import { registerTemplate } from "../templates/register.ts";
import { dayUs } from "./calendar.ts";
import { DayTables } from "./day-tables.ts";
import { type HistoryCounts, HistoryRows, type TemplateIdentities } from "./history-rows.ts";
import { taskHistories } from "./lives.ts";
import { addOverall, makeOverallTable } from "./overall-histograms.ts";
import { checkHistoryParameters, type HistoryParameters, SeedHistoryError } from "./parameters.ts";
import { makePartitions } from "./partitions.ts";
import { allTables } from "./tables.ts";
import { planTemplates, prefixOf, specOf, type TemplateLine, type TemplateModel } from "./templates.ts";

export interface SeedHistoryOptions {
  readonly database: Database;
  /** Of the same database: the rows are written on a connection of its own. */
  readonly connectionString: string;
  readonly connectTimeoutMs: number;
  readonly parameters: HistoryParameters;
  /** What ended longer ago leaves only rollups, as on a system that has run so long. In days. */
  readonly factsRetentionDays: number;
  /** Seed beside tasks that are there. Default: false. */
  readonly force?: boolean;
  /** Where the history ends, in microseconds since 1970. Default: the database's time, down to the minute. */
  readonly untilUs?: number;
  readonly onProgress?: (written: Readonly<HistoryCounts>) => void;
}

export interface SeededHistory extends Readonly<HistoryCounts> {
  readonly untilUs: number;
  readonly lines: readonly TemplateLine[];
}

const untilMinUs = Date.UTC(2001, 0, 1) * 1000;

/** Tasks between two reports of progress. */
const tasksAtOnce = 20_000;

/**
 * Writes a history of tasks that have ended: templates, facts, counts by state and rollups, exactly those that folding the facts
 * would make. Everything is in one transaction: a run that fails or is killed leaves nothing but empty partitions.
 *
 * @throws SeedHistoryError when a parameter is out of its range or the database must not be written to
 */
export async function seedHistory(options: SeedHistoryOptions): Promise<SeededHistory> {
  const { database, parameters } = options;
  checkHistoryParameters(parameters);
  const { pending } = await migrationStatus(database);
  if (pending.length > 0) {
    throw new SeedHistoryError("not_migrated", `the database lacks ${pending.length} migrations: run tasker migrate`);
  }
  const nowUs = await minuteOf(database);
  const untilUs = options.untilUs ?? nowUs;
  // Readers have no upper bound: what ends later would be counted today.
  if (!Number.isSafeInteger(untilUs) || untilUs > nowUs || untilUs < untilMinUs) {
    throw new SeedHistoryError("invalid_parameter", "the history must end after 2000-12-31 and not in the future");
  }
  await checkDatabase(database, options);
  const factsFromUs = untilUs - (untilUs % dayUs) - options.factsRetentionDays * dayUs;
  // Of its own, because it would keep readers waiting to the end.
  const firstFactUs = Math.max(factsFromUs, untilUs - parameters.days * dayUs);
  await makePartitions(database, firstFactUs, untilUs);
  const lines = planTemplates(parameters);
  const counts = await bulkLoad({ ...options, applicationName: "tasker seed-history" }, async (loader) => {
    await lock(loader);
    await checkDatabase(loader, options);
    const dayTables = await DayTables.create(loader, firstFactUs, untilUs);
    await makeOverallTable(loader);
    const fivesFromUs = await fivesFrom(loader);
    const rows = new HistoryRows({
      identities: await register(loader, lines),
      tick: await foldedTick(loader),
      factsFromUs,
      fivesFromUs,
      dayTables,
    });
    const histories = taskHistories(parameters, lines, untilUs);
    while (await rows.writeSome(loader, histories, tasksAtOnce)) options.onProgress?.(rows.counts);
    await dayTables.finish(loader);
    // A fold holds its state's row when it begins to read facts: so in this order.
    await addOverall(loader);
    await dropFivesBefore(loader, fivesFromUs);
    await dayTables.attach(loader);
    options.onProgress?.(rows.counts);
    return rows.counts;
  });
  // The planner's figures, and the summaries of what was appended to the facts' BRIN indexes.
  for (const table of allTables) await database.query({ text: `vacuum (analyze) ${table}` });
  return { ...counts, untilUs, lines };
}

async function lock(sql: Sql): Promise<void> {
  const [row] = await sql.query<{ locked: boolean }>({
    text: "select pg_try_advisory_xact_lock(hashtext('tasker.seed_history')) as locked",
  });
  if (row?.locked !== true) throw new SeedHistoryError("seeding_elsewhere", "another process seeds this database");
}

async function checkDatabase(sql: Sql, { parameters, force }: SeedHistoryOptions): Promise<void> {
  const { seed } = parameters;
  const [found] = await sql.query<{ used: boolean; seeded: boolean }>({
    text: `select exists (select from tasker.tasks) or exists (select from tasker.current_counts(null) where subject = 'task') as used,
      exists (select from tasker.task_namespaces where name like $1) as seeded`,
    values: [`${prefixOf(seed)}-%`],
  });
  if (found?.seeded === true) {
    throw new SeedHistoryError("history_exists", `the history of seed ${seed} is there already: take another --seed`);
  }
  if (found?.used === true && force !== true) {
    const sentence = "the database has tasks, and a made-up history would stand beside theirs in every figure";
    throw new SeedHistoryError("database_in_use", `${sentence}: take an empty one, or say --force`);
  }
}

async function minuteOf(sql: Sql): Promise<number> {
  const [row] = await sql.query<{ us: number }>({
    text: "select (extract(epoch from date_trunc('minute', tasker.clock())) * 1000000)::bigint as us",
  });
  if (row === undefined) throw new Error("the database told no time");
  return row.us;
}

/** A tick that counts as folded already, whatever is folded meanwhile. */
async function foldedTick(sql: Sql): Promise<number> {
  const [row] = await sql.query<{ tick: number }>({ text: "select watermark - 1 as tick from tasker.fold_state" });
  if (row === undefined) throw new Error("the database has no fold state");
  return row.tick;
}

/** As maintenance would drop them now: a history of all its days in five minutes would be most of it. */
async function fivesFrom(sql: Sql): Promise<number> {
  const [row] = await sql.query<{ us: number }>({
    text: `select (extract(epoch from greatest(fives_from, tasker.five_minutes_of(tasker.clock() - interval '72 hours'))) * 1000000)::bigint
      as us from tasker.fold_state`,
  });
  if (row === undefined) throw new Error("the database told no time");
  return row.us;
}

/** Five minutes of the history begin there, so nobody may ask for earlier ones. */
async function dropFivesBefore(sql: Sql, us: number): Promise<void> {
  await sql.query({
    text: "update tasker.fold_state set fives_from = greatest(fives_from, to_timestamp($1::numeric / 1000000))",
    values: [us],
  });
}

async function register(
  loader: BulkLoader,
  lines: readonly TemplateLine[],
): Promise<Map<TemplateModel, TemplateIdentities>> {
  const identities = new Map<TemplateModel, TemplateIdentities>();
  const inThisTransaction = { transaction: <T>(work: (sql: Sql) => Promise<T>): Promise<T> => work(loader) };
  for (const template of lines.flatMap(({ versions }) => versions)) {
    const registered = await registerTemplate(inThisTransaction, specOf(template), undefined, false);
    const steps = template.steps.map(({ name }) => registered.stepIds.get(name) as number);
    identities.set(template, { task: registered.namedTaskId, steps });
  }
  return identities;
}
