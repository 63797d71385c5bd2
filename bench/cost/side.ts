import { type Claim, claimSteps } from "../../src/engine/claim.ts";
import { createTasks } from "../../src/engine/create-tasks.ts";
import { newId } from "../../src/engine/ids.ts";
import type { Settlement } from "../../src/engine/settle.ts";
import { migrate } from "../../src/postgres/migrate.ts";
import { openDatabase } from "../../src/postgres/pool.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { type RegisteredTemplate, registerTemplate } from "../../src/templates/register.ts";
import { defaultRetryPolicy } from "../../src/workflow/retry.ts";
import { removeAnalytics } from "./plain.ts";

/** The product with its analytics, or the same without. */
export type Kind = "with" | "without";

/** How `pg_stat_activity` shows the sessions whose CPU time is measured. */
export const applications = { engine: "tasker bench engine", chores: "tasker bench chores" } as const;

/** A database of the product with one template of a single step, whose end is also its task's. */
export interface Side {
  readonly kind: Kind;
  readonly url: string;
  /** The sessions of the workers. */
  readonly engine: Database;
  /** The session of what one process does for all. */
  readonly chores: Database;
  readonly template: RegisteredTemplate;
  close(): Promise<void>;
}

/** Claims last longer than any run. */
const leaseMs = 6 * 3_600_000;
const atOnceMax = 1000;

/** Makes a database on the server of `serverUrl`; closing the side drops it. */
export async function openSide(serverUrl: string, kind: Kind, clients: number): Promise<Side> {
  const name = `tasker_cost_${kind}_${process.pid}`;
  const url = withDatabase(serverUrl, name);
  const admin = open(serverUrl, "tasker bench", 1);
  await admin.query({ text: `create database ${name} template template0` });
  const engine = open(url, applications.engine, clients);
  const chores = open(url, applications.chores, 1);
  const close = async (): Promise<void> => {
    await engine.close();
    await chores.close();
    await admin.query({ text: `drop database ${name} with (force)` });
    await admin.close();
  };
  try {
    await migrate(engine);
    if (kind === "without") await removeAnalytics(chores);
    const steps = [{ name: "only", after: [], retry: defaultRetryPolicy, timeoutMs: null }];
    const spec = { namespace: "bench", name: "cost", version: "1", steps };
    return { kind, url, engine, chores, template: await registerTemplate(chores, spec, undefined, false), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Creates so many tasks. */
export async function queueTasks({ chores, template }: Side, count: number): Promise<void> {
  for (let left = count; left > 0; left -= atOnceMax) {
    const tasks = Array.from({ length: Math.min(left, atOnceMax) }, () => ({ input: "null", inputChecked: true }));
    await createTasks(chores, { ...template, stepCount: 1 }, tasks);
  }
}

/** Claims a step for some worker. */
export async function claimSome({ template }: Side, sql: Database, limit: number): Promise<Claim[]> {
  const namedStepIds = [...template.stepIds.values()];
  return (await claimSteps(sql, { workerId: newId(), namedStepIds, limit, leaseMs })).claims;
}

/** Creates and claims so many steps, and returns their completions. */
export async function prepareCompletions(side: Side, count: number): Promise<Settlement[]> {
  await queueTasks(side, count);
  const owner = newId();
  const completions: Settlement[] = [];
  while (completions.length < count) {
    const { claims } = await claimSteps(side.chores, {
      workerId: owner,
      namedStepIds: [...side.template.stepIds.values()],
      limit: Math.min(atOnceMax, count - completions.length),
      leaseMs,
    });
    if (claims.length === 0) throw new Error("steps that were created cannot be claimed");
    completions.push(
      ...claims.map((claim) => ({ claim, owner, runUs: 1000, end: { state: "complete", output: "null" } }) as const),
    );
  }
  return completions;
}

/** Folds all that is committed. */
export async function foldAll({ chores }: Side): Promise<void> {
  for (let more = true; more;) {
    const [piece] = await chores.query<{ more: boolean }>({ text: "select more from tasker.fold(50000)" });
    more = piece?.more === true;
  }
}

export function open(connectionString: string, applicationName: string, max: number): Database {
  return openDatabase({
    connectionString,
    max,
    applicationName,
    idleInTransactionTimeoutMs: 60_000,
    connectTimeoutMs: 60_000,
    onError: () => {},
  });
}

function withDatabase(serverUrl: string, name: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}
