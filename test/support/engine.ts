import { type Claim, claimSteps } from "../../src/engine/claim.ts";
import { type CreatedTask, createTasks, type NewTask, type PinnedRevision } from "../../src/engine/create-tasks.ts";
import { newId } from "../../src/engine/ids.ts";
import { encodeError, type Settled, type Settlement, settleSteps } from "../../src/engine/settle.ts";
import type { Database, Sql, Timestamp } from "../../src/postgres/sql.ts";
import { type RegisteredTemplate, registerTemplate } from "../../src/templates/register.ts";
import { defaultRetryPolicy, type RetryPolicy } from "../../src/workflow/retry.ts";
import type { TemplateSpec } from "../../src/workflow/template.ts";
import { eventually } from "./eventually.ts";

/** Where the database's clock stands when a test has stopped it: on no edge of an hour or day. */
export const clockStart: Timestamp = "2026-03-10T12:34:56.000000Z";

/** Replaces the database's clock by one that stands still until a test moves it. */
export async function stopClock(db: Sql, at: Timestamp = clockStart): Promise<void> {
  await db.query({ text: "create schema tasker_test" });
  await db.query({ text: "create table tasker_test.clock (at timestamptz not null)" });
  await db.query({ text: "insert into tasker_test.clock values ($1)", values: [at] });
  await db.query({
    text: `create or replace function tasker.clock() returns timestamptz language sql volatile
      as 'select at from tasker_test.clock'`,
  });
}

/** Moves a stopped clock on (or, by a negative number, back). */
export async function moveClock(db: Sql, seconds: number): Promise<void> {
  await db.query({ text: "update tasker_test.clock set at = at + $1 * interval '1 second'", values: [seconds] });
}

/** Sets a stopped clock. */
export async function setClock(db: Sql, at: Timestamp): Promise<void> {
  await db.query({ text: "update tasker_test.clock set at = $1", values: [at] });
}

/** The time of the database, whichever clock it has. */
export async function databaseTime(db: Sql): Promise<Timestamp> {
  return (await onlyRow<{ now: Timestamp }>(db, "select tasker.clock() as now")).now;
}

/** The only row of a query. */
export async function onlyRow<Row extends object>(
  db: Sql,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row> {
  const rows = await db.query<Row>({ text, values });
  if (rows.length !== 1 || rows[0] === undefined) throw new Error(`expected one row, got ${rows.length}: ${text}`);
  return rows[0];
}

/** Steps and the names of their parents, in order. */
export type Graph = Readonly<Record<string, readonly string[]>>;

export interface TemplateOptions {
  readonly namespace?: string;
  readonly name?: string;
  readonly version?: string;
  readonly retry?: Partial<RetryPolicy>;
  /** Concurrency limits by step. */
  readonly concurrency?: Readonly<Record<string, number>>;
}

/** A definition with this graph; every step is tried once unless `retry` says otherwise. */
export function templateSpec(graph: Graph, options: TemplateOptions = {}): TemplateSpec {
  const { namespace = "shop", name = "order", version = "1.0.0" } = options;
  const retry = { ...defaultRetryPolicy, maxAttempts: 1, ...options.retry };
  const steps = Object.entries(graph).map(([step, after]) => {
    const concurrency = options.concurrency?.[step];
    return { name: step, after, retry, timeoutMs: null, ...(concurrency === undefined ? {} : { concurrency }) };
  });
  return { namespace, name, version, steps };
}

/** A template that is registered. */
export interface TestTemplate extends RegisteredTemplate {
  readonly spec: TemplateSpec;
  readonly stepCount: number;
}

export async function register(db: Database, graph: Graph, options?: TemplateOptions): Promise<TestTemplate> {
  const spec = templateSpec(graph, options);
  return { ...(await registerTemplate(db, spec, undefined, false)), spec, stepCount: spec.steps.length };
}

/** Creates tasks; `input` is a value here. */
export async function create(
  db: Sql,
  template: PinnedRevision,
  tasks: readonly (Omit<Partial<NewTask>, "input"> & { readonly input?: unknown })[] = [{}],
): Promise<CreatedTask[]> {
  const created = await createTasks(
    db,
    template,
    tasks.map(({ input = null, ...task }) => ({ inputChecked: true, ...task, input: JSON.stringify(input) })),
  );
  if (created === null) throw new Error("the revision is stale");
  return created;
}

/** Creates one task and returns its id. */
export async function createTask(
  db: Sql,
  template: PinnedRevision,
  task: Omit<Partial<NewTask>, "input"> & { readonly input?: unknown } = {},
): Promise<string> {
  const [created] = await create(db, template, [task]);
  if (created === undefined) throw new Error("no task was created");
  return created.id;
}

/** A claim and the worker that holds it. */
export interface Held extends Claim {
  readonly owner: string;
}

export interface ClaimOptions {
  /** Only the steps of these names. Default: all of the template. */
  readonly steps?: readonly string[];
  readonly limit?: number;
  readonly owner?: string;
  readonly leaseSeconds?: number;
}

export async function claim(db: Sql, template: TestTemplate, options: ClaimOptions = {}): Promise<Held[]> {
  const { owner = newId(), limit = 100, leaseSeconds = 30 } = options;
  const names = options.steps ?? [...template.stepIds.keys()];
  const namedStepIds = names.map((name) => stepIdOf(template, name));
  const { claims } = await claimSteps(db, { workerId: owner, namedStepIds, limit, leaseMs: leaseSeconds * 1000 });
  return claims.map((one) => ({ ...one, owner }));
}

/** Claims the one step of this name that can be claimed. */
export async function claimStep(
  db: Sql,
  template: TestTemplate,
  step: string,
  options: Omit<ClaimOptions, "steps" | "limit"> = {},
): Promise<Held> {
  const [held] = await claim(db, template, { ...options, steps: [step], limit: 1 });
  if (held === undefined) throw new Error(`step ${step} cannot be claimed`);
  return held;
}

/** The identity of a step, by its name. */
export function stepIdOf(template: RegisteredTemplate, name: string): number {
  const id = template.stepIds.get(name);
  if (id === undefined) throw new Error(`the template has no step ${name}`);
  return id;
}

/** The settlement of an attempt whose handler returned. */
export function success(held: Held, output: unknown = null, runSeconds: number | null = 0): Settlement {
  const runUs = runSeconds === null ? null : Math.round(runSeconds * 1e6);
  return { claim: held, owner: held.owner, runUs, end: { state: "complete", output: JSON.stringify(output) } };
}

/** The settlement of an attempt that failed: for good, or to be tried again after a delay. */
export function failure(
  held: Held,
  options: { readonly retryAfterSeconds?: number; readonly runSeconds?: number; readonly message?: string } = {},
): Settlement {
  const { retryAfterSeconds, runSeconds = 0, message = "it broke" } = options;
  const decision =
    retryAfterSeconds === undefined
      ? ({ state: "error" } as const)
      : ({ state: "waiting_for_retry", delayMs: retryAfterSeconds * 1000 } as const);
  const end = { ...decision, error: encodeError(new Error(message)) };
  return { claim: held, owner: held.owner, runUs: Math.round(runSeconds * 1e6), end };
}

export function settle(db: Sql, ...settlements: readonly Settlement[]): Promise<Settled> {
  return settleSteps(db, settlements, "test");
}

/** Claims a step, lets its handler run for some seconds of a stopped clock, and completes it. */
export async function runStep(
  db: Sql,
  template: TestTemplate,
  step: string,
  seconds = 0,
  output?: unknown,
): Promise<void> {
  const held = await claimStep(db, template, step);
  if (seconds !== 0) await moveClock(db, seconds);
  await settle(db, success(held, output, seconds));
}

/** The same for an attempt that fails. */
export async function failStep(
  db: Sql,
  template: TestTemplate,
  step: string,
  options: { readonly seconds?: number; readonly retryAfterSeconds?: number } = {},
): Promise<void> {
  const held = await claimStep(db, template, step);
  const { seconds = 0, ...rest } = options;
  if (seconds !== 0) await moveClock(db, seconds);
  await settle(db, failure(held, { ...rest, runSeconds: seconds }));
}

/** The id of the step of a task by its name. */
export async function findStep(db: Sql, taskId: string, name: string): Promise<string> {
  const text = `select s.id from tasker.workflow_steps s join tasker.named_steps n on n.id = s.named_step_id
    where s.task_id = $1 and n.name = $2`;
  return (await onlyRow<{ id: string }>(db, text, [taskId, name])).id;
}

/** The state of a task, and of each of its steps by name. */
export async function statesOf(db: Sql, taskId: string): Promise<{ task: string; steps: Record<string, string> }> {
  return onlyRow(
    db,
    `select t.state as task, (select jsonb_object_agg(n.name, s.state) from tasker.workflow_steps s
        join tasker.named_steps n on n.id = s.named_step_id where s.task_id = t.id) as steps
      from tasker.tasks t where t.id = $1`,
    [taskId],
  );
}

/** Folds once, at most about `rows`; returns how many. */
export async function fold(db: Sql, rows = 1_000_000): Promise<number> {
  return (await onlyRow<{ folded: number }>(db, "select folded from tasker.fold($1)", [rows])).folded;
}

/** Folds until everything that is committed now is folded, whatever transactions of others are open. */
export async function foldAll(db: Sql): Promise<void> {
  let more = true;
  while (more) ({ more } = await onlyRow<{ more: boolean }>(db, "select more from tasker.fold(1000000)"));
}

/** Resolves when `count` sessions of this database wait for a row or an advisory lock. */
export async function untilBlocked(db: Sql, count: number): Promise<void> {
  const text = `select count(distinct l.pid) as waiting from pg_locks l join pg_stat_activity a on a.pid = l.pid
    where not l.granted and l.locktype in ('transactionid', 'tuple', 'advisory') and a.datname = current_database()`;
  const ask = async (): Promise<number> => (await onlyRow<{ waiting: number }>(db, text)).waiting;
  await eventually(`${count} sessions wait for a lock`, ask, (waiting) => waiting >= count);
}
