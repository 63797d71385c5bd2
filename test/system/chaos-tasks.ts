/** What the workers of the chaos tests run: imported by `tasker worker --tasks`, and by the tests themselves. */
import { defineTask, RetryableError, type StepContext } from "../../src/index.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { openTestPool } from "../support/database.ts";

/** A table beside Tasker's: each run of a handler leaves a row under its idempotency key. */
export const effectsTable = `create table effects (key uuid not null, attempt int not null, step text not null, pid int not null)`;

let pool: Database | undefined;

function side(): Database {
  pool ??= openTestPool(process.env["DATABASE_URL"] ?? "", 4);
  return pool;
}

/** Leaves its row; then some attempts fail, by chance that each key carries in itself, and some hang until their time is over. */
async function run({ stepName, attempt, idempotencyKey, signal }: StepContext<unknown, object>): Promise<string> {
  await side().query({
    text: "insert into effects (key, attempt, step, pid) values ($1, $2, $3, $4)",
    values: [idempotencyKey, attempt, stepName, process.pid],
  });
  const chance = Number.parseInt(idempotencyKey.slice(-2), 16);
  if (chance % 16 === attempt) throw new RetryableError("as chance has it", { delayMs: 20 });
  if (chance === 255 - attempt && !signal.aborted) {
    await new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve());
    });
  }
  return `${stepName} ${attempt}`;
}

/** Killed workers cost attempts: far more of them than will be killed while they hold one step. */
const options = { retry: { maxAttempts: 100, initialDelayMs: 20, maxDelayMs: 200 }, timeoutMs: 2000 };
const after = <Name extends string>(...names: Name[]): typeof options & { after: Name[] } => ({
  ...options,
  after: names,
});

const named = (name: string): { namespace: string; name: string; version: string } => ({
  namespace: "chaos",
  name,
  version: "1.0.0",
});

export const diamond = defineTask(named("diamond"))
  .step("first", options, run)
  .step("left", after("first"), run)
  .step("right", after("first"), run)
  .step("last", after("left", "right"), run);

export const chain = defineTask(named("chain"))
  .step("one", options, run)
  .step("two", after("one"), run)
  .step("three", after("two"), run)
  .step("four", after("three"), run)
  .step("five", after("four"), run)
  .step("six", after("five"), run);

export const fan = defineTask(named("fan"))
  .step("begin", options, run)
  .step("a", after("begin"), run)
  .step("b", after("begin"), run)
  .step("c", after("begin"), run)
  .step("d", after("begin"), run)
  .step("e", after("begin"), run)
  .step("f", after("begin"), run)
  .step("g", after("begin"), run)
  .step("h", after("begin"), run)
  .step("end", after("a", "b", "c", "d", "e", "f", "g", "h"), run);

/** Steps of one task of each. */
export const stepsPerRound = 20;
