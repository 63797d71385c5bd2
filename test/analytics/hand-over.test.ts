import assert from "node:assert/strict";
import { test } from "node:test";

import { foldChore } from "../../src/analytics/fold.ts";
import { Maintenance } from "../../src/engine/maintenance.ts";
import type { Database, Sql, Statement } from "../../src/postgres/sql.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { ManualClock } from "../support/clock.ts";
import { testDatabase } from "../support/database.ts";
import { moveClock, onlyRow, stopClock } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { startTasker, type TestProcess } from "../support/tasker-process.ts";
import { CountingSql } from "../engine/counting-sql.ts";

const insertFact = `insert into tasker.step_facts (ended_at, tick, dependency_wait_us, queue_wait_us, retry_us, run_us, task_id,
    identity_id, attempts, failed_attempts, outcome, reopened)
  values (tasker.clock(), tasker.tick(), 0, 0, 0, 1000, gen_random_uuid(), 1, 1, 0, 'complete', false)`;

async function foldedSteps(db: Sql): Promise<number> {
  const text = "select coalesce(sum(completed), 0) as n from tasker.rollups where grain = 'a'";
  return (await onlyRow<{ n: number }>(db, text)).n;
}

/** A process that freezes when it is about to send a certain statement: that one and all later ones wait until it is woken. */
class FrozenSql implements Sql {
  readonly #sql: Sql;
  #freezesAt: string | undefined;
  #held: (() => void)[] | undefined;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  async query<Row extends object>(statement: Statement): Promise<Row[]> {
    if (this.#freezesAt !== undefined && statement.name === this.#freezesAt) this.#held ??= [];
    const held = this.#held;
    if (held !== undefined) await new Promise<void>((resolve) => held.push(resolve));
    return this.#sql.query<Row>(statement);
  }

  freezeAt(name: string): void {
    this.#freezesAt = name;
  }

  get isFrozen(): boolean {
    return this.#held !== undefined;
  }

  wake(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    this.#freezesAt = undefined;
    for (const go of held) go();
  }
}

/** A process as far as folding goes. */
interface Member {
  readonly sql: CountingSql;
  readonly frozen: FrozenSql;
  readonly clock: ManualClock;
  readonly maintenance: Maintenance;
  readonly rows: () => number;
}

function member(db: Database): Member {
  let rows = 0;
  const [frozen, clock] = [new FrozenSql(db), new ManualClock()];
  const sql = new CountingSql(frozen);
  const metrics = { foldRows: { add: (count: number) => void (rows += count) } };
  const chores = [foldChore({ sql, intervalMs: 1000, rowsMax: 1000, logger: silentLogger, metrics })];
  const maintenance = new Maintenance({ sql, chores, leaderLeaseMs: 5000, clock, logger: silentLogger });
  return { sql, frozen, clock, maintenance, rows: () => rows };
}

/** Lets a process stand for election and, if it leads, fold once: so many statements. */
async function turn({ sql, clock }: Member, statements: number): Promise<void> {
  const { length } = sql.asked;
  await clock.advance(1000);
  await sql.answered(length + statements);
}

test("when the leader freezes, another folds as soon as the lease is over, and what the frozen one brings counts for nothing", async (t) => {
  const { db } = await testDatabase(t);
  await stopClock(db);
  const [leader, follower] = [member(db), member(db)];
  t.after(async () => {
    leader.frozen.wake();
    await Promise.all([leader.maintenance.stop(), follower.maintenance.stop()]);
  });
  await db.query({ text: insertFact });
  await leader.maintenance.start();
  await leader.sql.answered(3);
  assert.deepEqual([leader.rows(), await foldedSteps(db)], [1, 1]);
  await follower.maintenance.start();
  await follower.sql.answered(1);

  // It has renewed its leadership and is about to fold when it freezes.
  leader.frozen.freezeAt("fold");
  await turn(leader, 2);
  assert.ok(leader.frozen.isFrozen);
  await db.query({ text: insertFact });
  await moveClock(db, 5);
  await turn(follower, 1);
  assert.equal(await foldedSteps(db), 1, "the lease is not over before its last moment");
  await moveClock(db, 0.001);
  await turn(follower, 3);
  assert.deepEqual([follower.rows(), await foldedSteps(db)], [1, 2]);
  const { fence } = await onlyRow<{ fence: number }>(
    db,
    "select fence from tasker.service_leases where service = 'fold'",
  );
  assert.equal(fence, 2);

  await db.query({ text: insertFact });
  assert.equal(leader.sql.asked.at(-1)?.name, "fold");
  leader.frozen.wake();
  await leader.sql.answered(leader.sql.asked.length);
  assert.deepEqual([leader.rows(), await foldedSteps(db)], [1, 2], "who was replaced folds nothing");
  await turn(follower, 3);
  assert.deepEqual([follower.rows(), await foldedSteps(db)], [2, 3]);
});

test("processes that are frozen or killed are followed by another that goes on folding", async (t) => {
  const { url, db } = await testDatabase(t);
  const env = {
    DATABASE_URL: url,
    TASKER_HTTP_PORT: "0",
    TASKER_MAINTENANCE_LEADER_LEASE_MS: "1500",
    TASKER_MAINTENANCE_FOLD_INTERVAL_MS: "100",
  };
  const start = async (): Promise<TestProcess> => {
    const server = startTasker(t, ["serve"], { env });
    await server.printed(/listening on/u);
    return server;
  };
  const leadership = () =>
    onlyRow<{ owner: string; fence: number }>(
      db,
      "select owner, fence from tasker.service_leases where service = 'fold'",
    );
  const foldsUnderFence = async (steps: number, fence: number): Promise<string> => {
    await db.query({ text: insertFact });
    await eventually(
      `${steps} steps are folded`,
      () => foldedSteps(db),
      (n) => n === steps,
    );
    const present = await leadership();
    assert.equal(present.fence, fence);
    return present.owner;
  };
  const first = await start();
  const firstOwner = await foldsUnderFence(1, 1);
  const second = await start();
  assert.equal(await foldsUnderFence(2, 1), firstOwner);
  first.kill("SIGSTOP");
  const secondOwner = await foldsUnderFence(3, 2);
  assert.notEqual(secondOwner, firstOwner);
  first.kill("SIGCONT");
  assert.equal(await foldsUnderFence(4, 2), secondOwner);
  second.kill("SIGKILL");
  assert.equal(await foldsUnderFence(5, 3), firstOwner);
});
