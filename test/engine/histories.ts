import fc from "fast-check";

import { type HeldClaim, releaseLeases, renewLeases } from "../../src/engine/claim.ts";
import { newId } from "../../src/engine/ids.ts";
import { cancelTask, resetStep, resolveStep, resolveTask } from "../../src/engine/operate.ts";
import { rescueExpired } from "../../src/engine/rescue.ts";
import type { Database, Sql } from "../../src/postgres/sql.ts";
import { TaskerError } from "../../src/workflow/errors.ts";
import {
  claim,
  createTask,
  failure,
  fold,
  type Graph,
  type Held,
  settle,
  success,
  type TestTemplate,
} from "../support/engine.ts";

/** A random graph: steps `s0`, `s1`, … with parents among those before them. */
export const graphs: fc.Arbitrary<Graph> = fc
  .array(fc.array(fc.nat(20), { maxLength: 3 }), { minLength: 1, maxLength: 7 })
  .map((steps) =>
    Object.fromEntries(
      steps.map((parents, index) => [
        `s${index}`,
        index === 0 ? [] : [...new Set(parents.map((parent) => `s${parent % index}`))],
      ]),
    ),
  );

const kinds = [
  ...Array.from({ length: 6 }, () => "claim" as const),
  ...Array.from({ length: 8 }, () => "succeed" as const),
  "fail",
  "fail",
  "retry",
  "create",
  "renew",
  "release",
  "repeat",
  "rescue",
  "cancel",
  "reset",
  "resolve step",
  "resolve task",
  "fold",
] as const;

/** Something one connection does. `pick` chooses among what there is. */
export interface Action {
  readonly kind: (typeof kinds)[number];
  readonly pick: number;
  readonly count: number;
}

export function actions(length: number): fc.Arbitrary<Action[]> {
  return fc.array(
    fc.record({ kind: fc.constantFrom(...kinds), pick: fc.nat(1000), count: fc.integer({ min: 1, max: 5 }) }),
    { minLength: length, maxLength: length },
  );
}

const operator = { actor: "test", reason: "because" };

/** One worker, operator, rescuer and folder in turn, as its actions say. Holds what it claimed. */
export class Actor {
  readonly #db: Database;
  readonly #template: TestTemplate;
  readonly #owner = newId();
  readonly #held: Held[] = [];
  readonly #settled: Held[] = [];

  constructor(db: Database, template: TestTemplate) {
    this.#db = db;
    this.#template = template;
  }

  /** Does all in turn. A refusal by rule is an answer; every other error is one, a deadlock above all. */
  async run(all: readonly Action[]): Promise<void> {
    for (const action of all) {
      try {
        await this.#do(action);
      } catch (error) {
        if (!(error instanceof TaskerError && error.code === "wrong_state")) throw error;
      }
    }
  }

  async #do({ kind, pick, count }: Action): Promise<void> {
    const db = this.#db;
    switch (kind) {
      case "create":
        await createTask(db, this.#template, { priority: pick % 3 });
        return;
      case "claim": {
        // Some leases run out at once.
        const leaseSeconds = pick % 4 === 0 ? 0 : 60;
        this.#held.push(...(await claim(db, this.#template, { owner: this.#owner, limit: count, leaseSeconds })));
        return;
      }
      case "succeed":
        await settle(db, ...this.#take(count).map((held) => success(held, pick)));
        return;
      case "fail":
        await settle(db, ...this.#take(count).map((held) => failure(held)));
        return;
      case "retry":
        await settle(db, ...this.#take(count).map((held) => failure(held, { retryAfterSeconds: 0 })));
        return;
      case "repeat":
        await settle(db, ...this.#settled.slice(-count).map((held) => success(held, "again")));
        return;
      case "renew":
        await renewLeases(db, this.#owner, this.#held.toReversed(), 60_000);
        return;
      case "release":
        await releaseLeases(db, this.#owner, this.#take(count) satisfies HeldClaim[]);
        return;
      case "rescue":
        await rescueExpired(db, () => 0);
        return;
      case "cancel":
        await this.#onOne("select id from tasker.tasks", pick, (id) => cancelTask(db, id, operator));
        return;
      case "reset":
        await this.#onOne(failedSteps, pick, (id) => resetStep(db, id, operator));
        return;
      case "resolve step":
        await this.#onOne("select id from tasker.workflow_steps", pick, (id) => resolveStep(db, id, operator, "1"));
        return;
      case "resolve task":
        await this.#onOne("select id from tasker.tasks", pick, (id) => resolveTask(db, id, operator));
        return;
      case "fold":
        await fold(db, count * 10);
    }
  }

  #take(count: number): Held[] {
    const taken = this.#held.splice(0, count);
    this.#settled.push(...taken);
    return taken;
  }

  async #onOne(text: string, pick: number, change: (id: string) => Promise<unknown>): Promise<void> {
    const rows = await this.#db.query<{ id: string }>({ text: `${text} order by id` });
    const id = rows[pick % Math.max(1, rows.length)]?.id;
    if (id !== undefined) await change(id);
  }
}

const failedSteps = "select id from tasker.workflow_steps where state = 'error'";

/** Runs all that is left to its end: claims everything and completes it, that of lost workers included. */
export async function finishAll(db: Sql, template: TestTemplate): Promise<void> {
  await db.query({
    text: "update tasker.workflow_steps set lease_expires_at = '-infinity' where state = 'in_progress'",
  });
  for (;;) {
    await rescueExpired(db, () => 0);
    const held = await claim(db, template, { leaseSeconds: 60 });
    if (held.length === 0) return;
    await settle(db, ...held.map((one) => success(one)));
  }
}
