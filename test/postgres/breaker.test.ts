import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { breakerDatabase, CircuitOpenError } from "../../src/postgres/breaker.ts";
import { sqlState } from "../../src/postgres/sqlstate.ts";
import { testDatabase, type Scope } from "../support/database.ts";
import { deferred } from "../support/deferred.ts";
import { ManualClock } from "../support/clock.ts";
import { connectionRefused, faultyDatabase, serverError } from "../http/faulty-database.ts";
import { recordingLogger } from "../http/recording-logger.ts";

const failuresMax = 5;
const openMs = 2_000;
const one = { text: "select 1 as n" };

async function setup(scope: Scope) {
  const { db } = await testDatabase(scope, { migrated: false });
  const clock = new ManualClock();
  const { logger, lines } = recordingLogger();
  const { database, faults } = faultyDatabase(db);
  const guarded = breakerDatabase(database, { name: "engine", clock, logger });
  const fail = async (error: Error, times: number): Promise<void> => {
    faults.error = error;
    for (let failures = 0; failures < times; failures++) await assert.rejects(guarded.query(one), error);
    faults.error = undefined;
  };
  /** Asserts whether the database is asked at all. */
  const isOpen = async (): Promise<boolean> => {
    const { asked } = faults;
    await guarded.query(one).catch(() => undefined);
    return faults.asked === asked;
  };
  return { db, clock, lines, faults, guarded, fail, isOpen };
}

describe("the circuit breaker of a database", () => {
  test("passes everything through while the database works", async (t) => {
    const { guarded, db } = await setup(t);
    assert.deepEqual(await guarded.query(one), [{ n: 1 }]);
    assert.deepEqual(await guarded.transaction((sql) => sql.query(one), { readOnly: true }), [{ n: 1 }]);
    assert.deepEqual(guarded.usage(), db.usage());
    await guarded.close();
    await assert.rejects(db.query(one), /closed/u);
  });

  test("opens after failures in a row, of queries and transactions, and says until when", async (t) => {
    const { guarded, faults, clock, fail, lines } = await setup(t);
    await fail(connectionRefused(), failuresMax - 1);
    faults.error = connectionRefused();
    await assert.rejects(
      guarded.transaction(() => Promise.resolve()),
      faults.error,
    );
    faults.error = undefined;
    await clock.advance(500);
    await assert.rejects(guarded.query(one), (error) => {
      assert.ok(error instanceof CircuitOpenError);
      assert.equal(error.code, "circuit_breaker_open");
      assert.equal(error.retryAfterMs, openMs - 500);
      assert.match(error.message, /engine/u);
      return true;
    });
    assert.deepEqual(
      lines.map(({ level, details }) => [level, details["pool"]]),
      [["warn", "engine"]],
    );
  });

  test("closes when the one call that may try succeeds", async (t) => {
    const { guarded, clock, fail, isOpen, lines } = await setup(t);
    await fail(connectionRefused(), failuresMax);
    await clock.advance(openMs - 1);
    assert.equal(await isOpen(), true);
    await clock.advance(1);
    assert.deepEqual(await guarded.query(one), [{ n: 1 }]);
    assert.equal(await isOpen(), false);
    assert.deepEqual(
      lines.map(({ level }) => level),
      ["warn", "info"],
    );
    // It counts from the beginning again.
    await fail(connectionRefused(), failuresMax - 1);
    assert.equal(await isOpen(), false);
  });

  test("opens again when the call that tried fails, without another line in the log", async (t) => {
    const { clock, fail, isOpen, lines } = await setup(t);
    await fail(connectionRefused(), failuresMax);
    await clock.advance(openMs);
    await fail(connectionRefused(), 1);
    assert.equal(await isOpen(), true);
    await clock.advance(openMs - 1);
    assert.equal(await isOpen(), true);
    await clock.advance(1);
    assert.equal(await isOpen(), false);
    assert.equal(lines.filter(({ level }) => level === "warn").length, 1);
  });

  test("lets one call try at a time; the others do not wait for it", async (t) => {
    const { guarded, clock, faults, fail } = await setup(t);
    await fail(connectionRefused(), failuresMax);
    await clock.advance(openMs);
    const gate = deferred();
    faults.hold = () => gate.promise;
    const attempt = guarded.query(one);
    await assert.rejects(guarded.query(one), CircuitOpenError);
    await clock.advance(10 * openMs);
    await assert.rejects(guarded.query(one), CircuitOpenError);
    gate.resolve();
    assert.deepEqual(await attempt, [{ n: 1 }]);
    assert.deepEqual(await guarded.query(one), [{ n: 1 }]);
  });

  test("counts outages only", async (t) => {
    const { guarded, fail, isOpen } = await setup(t);
    const ours = new Error("the input is not valid");
    for (const state of ["23505", "42P01", sqlState.deadlock_detected, sqlState.serialization_failure, "55P03"]) {
      await fail(serverError(state), failuresMax + 1);
      assert.equal(await isOpen(), false, state);
    }
    for (let mistakes = 0; mistakes <= failuresMax; mistakes++) {
      await assert.rejects(
        guarded.transaction(() => Promise.reject(ours)),
        ours,
      );
    }
    assert.equal(await isOpen(), false);
  });

  test("counts every kind of outage", async (t) => {
    const outages = [
      serverError(sqlState.query_canceled),
      serverError(sqlState.admin_shutdown),
      serverError(sqlState.too_many_connections),
      new Error("timeout exceeded when trying to connect"),
      new Error("Connection terminated unexpectedly"),
    ];
    for (const outage of outages) {
      const { fail, isOpen } = await setup(t);
      await fail(outage, failuresMax);
      assert.equal(await isOpen(), true, outage.message);
    }
  });

  test("forgets failures at each success, and is not closed by one that began before it opened", async (t) => {
    const { guarded, faults, fail, isOpen } = await setup(t);
    for (let rounds = 0; rounds < 3; rounds++) {
      await fail(connectionRefused(), failuresMax - 1);
      await guarded.query(one);
    }
    const gate = deferred();
    faults.hold = () => gate.promise;
    const slow = guarded.query(one);
    faults.hold = () => Promise.resolve();
    await fail(connectionRefused(), failuresMax);
    gate.resolve();
    assert.deepEqual(await slow, [{ n: 1 }]);
    assert.equal(await isOpen(), true);
  });
});
