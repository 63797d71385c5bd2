import type { Database } from "../../src/postgres/sql.ts";
import { onlyRow } from "../support/engine.ts";

/** How the rollups are read and folded: as they are, or wrongly in one respect, to see that the check notices. */
export interface Variant {
  /** In the place of `tasker.window_figures`. */
  readonly figures: string;
  /** In the place of `tasker.fold`. */
  readonly fold: string;
}

/** A lock that a folder holds while it folds, and that a slowed reader waits for between its statements. */
const foldLock = 4242;

/**
 * Makes a copy of a function in the schema of the tests, changed in some places, and returns its name.
 *
 * @param changes pairs of text and replacement; a text that the function does not hold is an error
 */
export async function alteredCopy(
  db: Database,
  source: string,
  name: string,
  changes: readonly (readonly [from: string, to: string])[],
): Promise<string> {
  await db.query({ text: "create schema if not exists tasker_test" });
  const [schema = "", plain = ""] = source.split(".");
  const { definition } = await onlyRow<{ definition: string }>(
    db,
    `select pg_get_functiondef(p.oid) as definition from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where n.nspname = $1 and p.proname = $2`,
    [schema, plain],
  );
  const copy = `tasker_test.${name}`;
  const text = [[`FUNCTION ${source}(`, `FUNCTION ${copy}(`] as const, ...changes].reduce((altered, [from, to]) => {
    if (!altered.includes(from)) throw new Error(`${source} does not hold ${JSON.stringify(from)}`);
    return altered.replace(from, () => to);
  }, definition);
  await db.query({ text });
  return copy;
}

/** The statements of the fold, by their ends. */
export const foldStatements = [
  "from tasker.fold_state for update;",
  "from tasker.snapshot_ticks();",
  "v_ended := array(select t from unnest(v_open) t where t <> all (v_running));",
  "v_from, v_cut, v_running);",
  "where t >= v_from and t < v_cut);",
];

/** Between reading the watermark and the rest: waits for a fold that is under way. */
export const slowly = [
  "v_pieces := tasker.window_pieces(p_from, p_now);",
  `v_pieces := tasker.window_pieces(p_from, p_now); perform pg_advisory_xact_lock_shared(${foldLock});`,
] as const;

/** A total as it was read, beside the plain count in the same snapshot. */
export interface Disagreement {
  readonly all: number;
  readonly lately: number;
  readonly exact: number;
}

/**
 * Four writers with transactions of different length, one whose transactions outlast many folds, and a folder work while two
 * readers compare, in one statement each time, what the rollups say with the plain count of facts. Ends after `checks` comparisons, or with the first
 * disagreement when `untilFirst` is set; a last comparison comes when all is committed.
 */
export async function compareUnderLoad(
  db: Database,
  variant: Variant,
  options: { readonly checks: number; readonly untilFirst?: boolean },
): Promise<Disagreement[]> {
  const found: Disagreement[] = [];
  let checked = 0;
  const isOver = (): boolean => checked >= options.checks || (options.untilFirst === true && found.length > 0);
  const check = async (): Promise<void> => {
    const totals = await onlyRow<Disagreement>(
      db,
      `select (select coalesce(sum(completed), 0) from ${variant.figures}(null, now(), null)) as "all",
        (select coalesce(sum(completed), 0) from ${variant.figures}(now() - interval '24 hours', now(), null)) as lately,
        (select count(*) from tasker.step_facts) as exact`,
    );
    if (totals.all !== totals.exact || totals.lately !== totals.exact) found.push(totals);
    checked += 1;
  };
  const fold = (): Promise<void> =>
    db.transaction(async (sql) => {
      await sql.query({ text: `select pg_advisory_xact_lock(${foldLock})` });
      await sql.query({ text: `select folded from ${variant.fold}(50)` });
    });
  const loop = async (work: (round: number) => Promise<void>): Promise<void> => {
    for (let round = 0; !isOver(); round++) await work(round);
  };
  const writeOnce = (writer: number, round: number): Promise<void> =>
    db.transaction(async (sql) => {
      await sql.query({ text: insertFact, values: [1 + (writer % 3)] });
      for (let i = 0; i < (writer + round) % 4; i++) await sql.query({ text: "select 1" });
    });
  const writeLate = (): Promise<void> =>
    db.transaction(async (sql) => {
      await sql.query({ text: insertFact, values: [4] });
      const patience = checked + checksOfLateWriter;
      while (checked < patience && !isOver()) await sql.query({ text: "select 1" });
      await sql.query({ text: insertFact, values: [4] });
    });
  await Promise.all([
    loop(writeLate),
    ...[0, 1, 2, 3].map((writer) => loop((round) => writeOnce(writer, round))),
    ...[0, 1].map(() => loop(check)),
    loop(fold),
  ]);
  await check();
  return found;
}

/** So many comparisons are made while the late writer's transaction is open. */
const checksOfLateWriter = 30;

const insertFact = `insert into tasker.step_facts (ended_at, tick, dependency_wait_us, queue_wait_us, retry_us, run_us, task_id,
    identity_id, attempts, failed_attempts, outcome, reopened)
  values (tasker.clock(), tasker.tick(), 0, 0, 0, 1000, gen_random_uuid(), $1, 1, 0, 'complete', false)`;
