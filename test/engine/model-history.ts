import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";

import { releaseLeases, renewLeases } from "../../src/engine/claim.ts";
import { newId } from "../../src/engine/ids.ts";
import { cancelTask, type Operator, resetStep, resolveStep, resolveTask } from "../../src/engine/operate.ts";
import { rescueExpired } from "../../src/engine/rescue.ts";
import { settleSteps } from "../../src/engine/settle.ts";
import type { Sql } from "../../src/postgres/sql.ts";
import { TaskerError } from "../../src/workflow/errors.ts";
import type { RetryPolicy } from "../../src/workflow/retry.ts";
import { claim, create, fold, type Graph, type Held, moveClock, type TestTemplate } from "../support/engine.ts";
import { Model } from "./model.ts";
import { type Command, creationsOf } from "./model-commands.ts";
import { distinct, type Ended, endOf, failedEnd, outputsFor, random } from "./model-ends.ts";
import { countsOf, idsIn, readCounts, readSnapshot, type Snapshot, snapshotOf, timeOf } from "./model-rows.ts";
import type { ModelStep, ModelTask } from "./model-states.ts";

/** More would make each history dearer, but no richer. */
const tasksMax = 5;
const operator: Operator = { actor: "test", reason: "because" };

/** Does commands both to the database and to the model, and compares all that both know after each. */
export class ModelHistory {
  readonly model = new Model();
  readonly #sql: Sql;
  readonly #template: TestTemplate;
  readonly #graph: Graph;
  readonly #retry: RetryPolicy;
  readonly #owners = [newId(), newId()];
  readonly #held: Held[][] = [[], []];
  /** Claims that were settled, given back or whose leases may have been lost. */
  readonly #past: Held[] = [];

  constructor(sql: Sql, template: TestTemplate, graph: Graph, retry: RetryPolicy, nowMs: number) {
    this.#sql = sql;
    this.#template = template;
    this.#graph = graph;
    this.#retry = retry;
    this.model.now = nowMs;
  }

  /** Does all in turn; then has what is left cancelled, or run to its end. */
  async run(all: readonly Command[], isCancelled: boolean): Promise<void> {
    for (const command of [{ kind: "create", worker: 0, pick: all.length, count: 1 } as const, ...all]) {
      await this.#do(command);
      await this.#compare(command.kind);
    }
    if (isCancelled) await this.#cancelAll();
    else await this.#finishAll();
    assert.ok(
      this.model.tasks.every(({ endedAt }) => endedAt !== null),
      "a task did not end",
    );
    assert.deepEqual(await readCounts(this.#sql, this.#template.namedTaskId), countsOf(this.model), "counts by state");
  }

  async #cancelAll(): Promise<void> {
    for (const task of this.model.tasks)
      await this.#operate(
        () => this.model.cancel(task),
        () => cancelTask(this.#sql, task.id, operator),
      );
    await this.#compare("cancel all");
  }

  /** Every task comes to its end: what was lost by its worker as well. */
  async #finishAll(): Promise<void> {
    do {
      await this.#moveClock(60_000);
      await this.#rescue();
      await this.#claim(0, 1, 100);
      await this.#settle(this.#take(0, 100).map((held) => endOf(this.#retry, held, 0)));
      await this.#compare("a round to the end");
    } while (this.model.nextDue() !== undefined);
  }

  async #moveClock(ms: number): Promise<void> {
    await moveClock(this.#sql, ms / 1000);
    this.model.now += ms;
  }

  async #compare(after: string): Promise<void> {
    assert.deepEqual(await this.#snapshot(), snapshotOf(this.model), `after ${after}`);
  }

  #snapshot(): Promise<Snapshot> {
    return readSnapshot(this.#sql, this.#template.namedTaskId);
  }

  async #do(command: Command): Promise<void> {
    const { kind, worker, pick, count } = command;
    const sql = this.#sql;
    const { model } = this;
    switch (kind) {
      case "create":
        await this.#create(pick, count);
        return;
      case "claim":
        await this.#claim(worker, pick, count);
        return;
      case "settle":
        await this.#settle(this.#ends(this.#take(worker, count), pick));
        return;
      case "settle at once":
        await this.#settleAtOnce([0, 1].map((one) => this.#ends(this.#take(one, count), pick + one)));
        return;
      case "settle late":
        await this.#settle(this.#ends(distinct(this.#past.slice(-count)), pick));
        return;
      case "move clock": {
        // Mostly to when something is due, at times any way: clocks are set.
        const dueMs = model.nextDue();
        const any = [count, count * 9, -count * 3][pick % 3] ?? 0;
        await this.#moveClock(dueMs === undefined || pick % 4 === 0 ? any * 1000 : dueMs - model.now + (pick % 2));
        return;
      }
      case "rescue":
        await this.#rescue();
        return;
      case "renew": {
        const held = this.#held[worker] ?? [];
        const still = await renewLeases(sql, this.#owner(worker), held, count * 10_000);
        assert.deepEqual([...still].toSorted(), model.renew(held, count * 10_000).toSorted(), "renewed");
        return;
      }
      case "release": {
        const held = this.#take(worker, count);
        assert.equal(await releaseLeases(sql, this.#owner(worker), held), model.release(held), "given back");
        return;
      }
      case "cancel":
        await this.#onTask(
          pick,
          (task) => model.cancel(task),
          (id) => cancelTask(sql, id, operator),
        );
        return;
      case "resolve task":
        await this.#onTask(
          pick,
          (task) => model.resolveTask(task),
          (id) => resolveTask(sql, id, operator),
        );
        return;
      case "reset":
        await this.#onStep(
          pick,
          (step) => model.reset(step),
          (id) => resetStep(sql, id, operator),
        );
        return;
      case "resolve step":
      case "complete manually": {
        const output = kind === "resolve step" ? null : pick;
        const text = output === null ? null : String(output);
        await this.#onStep(
          pick,
          (step) => model.resolve(step, output),
          (id) => resolveStep(sql, id, operator, text),
        );
        return;
      }
      case "fold":
        await fold(sql, count * 20);
    }
  }

  async #create(pick: number, count: number): Promise<void> {
    const { model } = this;
    if (model.tasks.length >= tasksMax) return;
    const asked = creationsOf(pick, count, model.now);
    const created = await create(
      this.#sql,
      this.#template,
      asked.map(({ key, input, priority, runAt }) => ({ idempotencyKey: key, input, priority, runAt: timeOf(runAt) })),
    );
    const rows = idsIn(await this.#snapshot());
    for (const [index, one] of asked.entries()) {
      const first = model.firstWithKey(one.key);
      const { id = "", outcome } = created[index] ?? {};
      if (first === undefined) {
        assert.equal(outcome, "created");
        model.create(this.#graph, { task: id, step: (name) => rows.get(`${id} ${name}`) ?? "" }, one);
      } else {
        const found = first.input === one.input ? "existing" : "conflict";
        assert.deepEqual({ id, outcome }, { id: first.id, outcome: found });
      }
    }
  }

  async #claim(worker: number, pick: number, count: number): Promise<void> {
    const { model } = this;
    const owner = this.#owner(worker);
    const leaseSeconds = pick % 4 === 0 ? 0 : 20;
    const claims = await claim(this.#sql, this.#template, { owner, limit: count, leaseSeconds });
    const expected = model.claim(owner, count, leaseSeconds * 1000).map((step) => {
      const { id, input } = model.taskOf(step);
      const { id: stepId, life, attempt, failedAttempts } = step;
      return { stepId, taskId: id, life, attempt, failedAttempts, input, results: outputsFor(step), owner };
    });
    const got = claims.map(
      ({ namedStepId: _n, revisionId: _r, inputChecked: _i, correlationId: _c, limitedNamespaceId: _l, ...rest }) =>
        rest,
    );
    assert.deepEqual(got, expected, "claimed");
    this.#held[worker]?.push(...claims);
  }

  #ends(claims: readonly Held[], draw: number): Ended[] {
    return claims.map((held, index) => endOf(this.#retry, held, draw + index));
  }

  async #settle(batch: readonly Ended[]): Promise<void> {
    const settled = await settleSteps(
      this.#sql,
      batch.map(({ settlement }) => settlement),
      "test",
    );
    const accepted = this.model.settle(batch.map(({ held, end }) => ({ claim: held, end })));
    assert.deepEqual([...settled.accepted].toSorted(), accepted.toSorted(), "recorded");
  }

  /** Two batches in two transactions: the outcome must be that of one order or the other. */
  async #settleAtOnce(batches: readonly (readonly Ended[])[]): Promise<void> {
    const settlements = batches.map((batch) => batch.map(({ settlement }) => settlement));
    await Promise.all(settlements.map((batch) => settleSteps(this.#sql, batch, "test")));
    const ends = batches.map((batch) => batch.map(({ held, end }) => ({ claim: held, end })));
    const other = this.model.copy();
    for (const batch of ends.toReversed()) other.settle(batch);
    for (const batch of ends) this.model.settle(batch);
    if (isDeepStrictEqual(await this.#snapshot(), snapshotOf(other))) this.model.tasks = other.tasks;
  }

  async #rescue(): Promise<void> {
    const { model } = this;
    const expired = model.expired();
    const rescued = await rescueExpired(this.#sql, () => random);
    const accepted = model.settle(
      expired.map(({ id, life, attempt, owner, failedAttempts }) => ({
        claim: { stepId: id, life, attempt, owner: owner ?? "" },
        end: failedEnd(this.#retry, failedAttempts + 1, `the lease of attempt ${attempt} ran out`),
      })),
    );
    assert.deepEqual([...rescued.accepted].toSorted(), accepted.toSorted(), "rescued");
  }

  async #onTask(
    pick: number,
    expect: (task: ModelTask) => boolean,
    change: (id: string) => Promise<unknown>,
  ): Promise<void> {
    const task = this.model.tasks[pick % Math.max(1, this.model.tasks.length)];
    if (task !== undefined)
      await this.#operate(
        () => expect(task),
        () => change(task.id),
      );
  }

  /** Mostly on a step that has failed, if there is one. */
  async #onStep(
    pick: number,
    expect: (step: ModelStep) => boolean,
    change: (id: string) => Promise<unknown>,
  ): Promise<void> {
    const { steps } = this.model;
    const failed = steps.filter(({ state }) => state === "error");
    const among = failed.length > 0 && pick % 4 !== 0 ? failed : steps;
    const step = among[pick % Math.max(1, among.length)];
    if (step !== undefined)
      await this.#operate(
        () => expect(step),
        () => change(step.id),
      );
  }

  /** The database must allow what the model allows, and refuse what it refuses. */
  async #operate(expect: () => boolean, change: () => Promise<unknown>): Promise<void> {
    let isAllowed = true;
    try {
      await change();
    } catch (error) {
      if (!(error instanceof TaskerError && error.code === "wrong_state")) throw error;
      isAllowed = false;
    }
    assert.equal(isAllowed, expect(), "allowed");
  }

  #take(worker: number, count: number): Held[] {
    const taken = this.#held[worker]?.splice(0, count) ?? [];
    this.#past.push(...taken);
    return taken;
  }

  #owner(worker: number): string {
    return this.#owners[worker] ?? "";
  }
}
