/** What the workers of the system tests run: imported by `tasker worker --tasks`, and by the tests themselves. */
import { defineTask, type StepContext } from "../../src/index.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { openTestPool } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";

/** Tables beside Tasker's: each run of a handler leaves a row in `effects`; while `gate` is empty, handlers are held. */
export const sideTables = `
  create table effects (task_id uuid not null, step text not null, attempt int not null, key uuid not null, pid int not null);
  create table gate (opened boolean not null);`;

/** Names the step whose handlers wait, in the process that has this variable, until the gate is open. */
export const holdVariable = "TASKER_TEST_HOLD";

let pool: Database | undefined;

function side(): Database {
  // Not through the pooler, if there is one.
  pool ??= openTestPool(process.env["TASKER_DATABASE_DIRECT_URL"] ?? process.env["DATABASE_URL"] ?? "", 4);
  return pool;
}

async function run({ taskId, stepName, attempt, idempotencyKey }: StepContext<unknown, object>): Promise<string> {
  await side().query({
    text: "insert into effects (task_id, step, attempt, key, pid) values ($1, $2, $3, $4, $5)",
    values: [taskId, stepName, attempt, idempotencyKey, process.pid],
  });
  if (process.env[holdVariable] === stepName) {
    // On purpose deaf to the signal: a handler that does not heed it must do no harm.
    const ask = (): Promise<object[]> => side().query({ text: "select from gate" });
    await eventually("the gate is open", ask, (rows) => rows.length > 0, 10 * 60_000);
  }
  return `${stepName} by ${process.pid}`;
}

const retry = { maxAttempts: 20, initialDelayMs: 0 };

/** Four steps: one, then two side by side, then one. */
export const pipeline = defineTask<{ number: number }>({ namespace: "system", name: "pipeline", version: "1.0.0" })
  .step("first", { retry }, run)
  .step("left", { after: ["first"], retry }, run)
  .step("right", { after: ["first"], retry }, run)
  .step("last", { after: ["left", "right"], retry }, run);

export const stepsPerTask = 4;
