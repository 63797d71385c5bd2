import assert from "node:assert/strict";

import fc from "fast-check";

import type { Database, Sql } from "../../src/postgres/sql.ts";
import type { RetryPolicy } from "../../src/workflow/retry.ts";
import { clockStart, databaseTime, fold, type Graph, register } from "../support/engine.ts";
import { randomCases } from "../support/random.ts";
import { graphs } from "./histories.ts";
import { checkInvariants } from "./invariants.ts";
import { type Command, commands } from "./model-commands.ts";
import { ModelHistory } from "./model-history.ts";

const foldEvery = 20;

/** A graph, the attempts each step has, what is done to its tasks, and whether they are cancelled at the end. */
type History = readonly [Graph, number, readonly Command[], boolean];

const histories: fc.Arbitrary<History> = fc.tuple(graphs, fc.integer({ min: 1, max: 3 }), commands, fc.boolean());

/** Runs random histories on a database whose clock is stopped and on the model of the states; whatever they say must be the same. */
export class ModelCheck {
  readonly #db: Database;
  readonly #engine: Sql;
  #number = 0;

  /** `engine`: how the database is asked, in place of `db`: a wrapped one that errs. */
  constructor(db: Database, engine: Sql = db) {
    this.#db = db;
    this.#engine = engine;
  }

  /** Rejects with the shortest history that differs, as fast-check finds it; at the end everything stored must add up. */
  async run(cases: number): Promise<void> {
    const property = fc.asyncProperty(histories, (history) => this.#check(history));
    await fc.assert(property, randomCases(cases));
    await checkInvariants(this.#db);
  }

  /** What a random history differed in, of at most so many; undefined when none did. Rejects with any other error. */
  async firstDifference(cases: number, seed: number): Promise<string | undefined> {
    const property = fc.asyncProperty(histories, (history) => this.#check(history));
    const { errorInstance } = await fc.check(property, { numRuns: cases, seed, endOnFailure: true });
    if (errorInstance === null) return undefined;
    assert.ok(errorInstance instanceof assert.AssertionError, "it failed otherwise");
    return errorInstance.message;
  }

  async #check([graph, maxAttempts, list, isCancelled]: History): Promise<void> {
    this.#number += 1;
    const retry: RetryPolicy = { maxAttempts, initialDelayMs: 4000, factor: 2, maxDelayMs: 6000 };
    const options = { namespace: "model", name: "random", version: String(this.#number), retry };
    const template = await register(this.#db, graph, options);
    const nowMs = Date.parse(await databaseTime(this.#db)) - Date.parse(clockStart);
    await new ModelHistory(this.#engine, template, graph, retry, nowMs).run(list, isCancelled);
    // Facts that nobody folds would be counted again by each history.
    if (this.#number % foldEvery === 0) await fold(this.#db);
  }
}
