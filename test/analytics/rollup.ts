import assert from "node:assert/strict";

import fc from "fast-check";

import type { Database } from "../../src/postgres/sql.ts";
import { foldAll, onlyRow, setClock, stopClock } from "../support/engine.ts";
import { randomCases } from "../support/random.ts";
import { type Delta, OpenTransaction, write, type Writing } from "./fact-writer.ts";
import { checkWindow, type Fact, type Microseconds, type Outcome, timestamp } from "./recount.ts";

const day = 24 * 3600e6;
const firstNow = Date.UTC(2026, 2, 10) * 1000;

/** Moves a time down to an edge of its minute, hour or day, and a microsecond beyond or before it. */
interface Snap {
  readonly toUs: number;
  readonly nudgeUs: number;
}

const snap: fc.Arbitrary<Snap> = fc.record({
  toUs: fc.constantFrom(1, 1, 60e6, 3600e6, day),
  nudgeUs: fc.constantFrom(0, 0, 1, -1),
});

function snapped(at: Microseconds, { toUs, nudgeUs }: Snap): Microseconds {
  return Math.floor(at / toUs) * toUs + nudgeUs;
}

const durationUs = fc.oneof(fc.constantFrom(0, 1, 2), fc.integer({ min: 0, max: 100_000 }), fc.nat(7_200_000_000));
/** Also ahead of the present: the database's clock may have been set back. */
const agoUs = fc.oneof(fc.nat(3600e6), fc.integer({ min: 0, max: 5 * day }), fc.integer({ min: -3 * 3600e6, max: 0 }));
const stepOutcomes: readonly Outcome[] = [
  "complete",
  "complete",
  "complete",
  "error",
  "cancelled",
  "resolved_manually",
  "skipped",
  "blocked",
];
const taskOutcomes: readonly Outcome[] = ["complete", "complete", "error", "cancelled", "resolved_manually"];

/** A fact whose time is still relative to the case's present. */
type RelativeFact = Omit<Fact, "endedAt"> & { readonly agoUs: number; readonly snap: Snap };

const fact: fc.Arbitrary<RelativeFact> = fc.boolean().chain((isStep) =>
  fc.record({
    subject: fc.constant(isStep ? ("step" as const) : ("task" as const)),
    identity: isStep ? fc.integer({ min: 1, max: 3 }) : fc.integer({ min: 4, max: 5 }),
    agoUs,
    snap,
    outcome: fc.constantFrom(...(isStep ? stepOutcomes : taskOutcomes)),
    reopened: fc.boolean(),
    durationUs,
    dependencyWaitUs: durationUs,
    queueWaitUs: durationUs,
    retryUs: durationUs,
    attempts: fc.nat(5),
    failedAttempts: fc.nat(4),
    stepCount: fc.nat(9),
    failedStepCount: fc.nat(3),
  }),
);

type RelativeDelta = Omit<Delta, "recordedAt"> & { readonly agoUs: number };

const delta: fc.Arbitrary<RelativeDelta> = fc.record({
  identity: fc.integer({ min: 4, max: 5 }),
  subject: fc.constantFrom("step", "task"),
  state: fc.constantFrom("pending", "in_progress", "complete"),
  delta: fc.integer({ min: -2, max: 3 }),
  agoUs,
});

const writing = fc.record({ facts: fc.array(fact, { maxLength: 8 }), deltas: fc.array(delta, { maxLength: 3 }) });
const hours = fc.oneof(fc.constantFrom(0, 1, 2, 23, 24, 25, 47, 48, 49, 72), fc.integer({ min: 1, max: 100 }));
const slot = fc.nat(2);

const action = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("write" as const), writing }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("write late" as const), slot, writing }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("end" as const), slot, how: fc.constantFrom("commit", "rollback") }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("fold" as const), rows: fc.constantFrom(1, 3, 10, 1000) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("check" as const), hours }) },
);

const history = fc.record({
  nowUs: fc.nat(day),
  nowSnap: snap,
  actions: fc.array(action, { minLength: 4, maxLength: 16 }),
  windows: fc.array(hours, { minLength: 1, maxLength: 2 }),
  ids: fc.option(fc.uniqueArray(fc.integer({ min: 1, max: 5 }))),
});

/** One random history against the recount of what it committed. */
class Case {
  readonly #db: Database;
  readonly #now: Microseconds;
  readonly #open = new Map<number, OpenTransaction>();
  readonly #facts: Fact[] = [];
  readonly #deltas: Delta[] = [];

  constructor(db: Database, now: Microseconds) {
    this.#db = db;
    this.#now = now;
  }

  async do(one: typeof action extends fc.Arbitrary<infer Action> ? Action : never): Promise<void> {
    switch (one.do) {
      case "write": {
        const absolute = this.#absolute(one.writing);
        await this.#db.transaction((sql) => write(sql, absolute));
        this.#keep(absolute);
        return;
      }
      case "write late": {
        const transaction = this.#open.get(one.slot) ?? (await OpenTransaction.begin(this.#db));
        this.#open.set(one.slot, transaction);
        await transaction.write(this.#absolute(one.writing));
        return;
      }
      case "end":
        await this.#end(one.slot, one.how === "commit" ? "commit" : "rollback");
        return;
      case "fold":
        await this.#fold(one.rows);
        return;
      case "check":
        await this.check(one.hours, null);
    }
  }

  async endAll(): Promise<void> {
    for (const one of this.#open.keys()) await this.#end(one, "commit");
  }

  async check(window: number, ids: readonly number[] | null): Promise<void> {
    await checkWindow(this.#db, this.#facts, { hours: window, now: this.#now, ids });
    const counts = await this.#db.query({
      text: `select identity_id, subject, state, count, first_at from tasker.current_counts(null) order by 1, 2, 3`,
    });
    assert.deepEqual(counts, this.#counts());
  }

  async #fold(rows: number): Promise<void> {
    const { folded, more } = await onlyRow<{ folded: number; more: boolean }>(
      this.#db,
      "select folded, more from tasker.fold($1)",
      [rows],
    );
    // Else a folder that goes on while there is more would never end.
    assert.ok(folded > 0 || !more, "a fold that leaves more folds something");
  }

  async #end(index: number, how: "commit" | "rollback"): Promise<void> {
    const transaction = this.#open.get(index);
    if (transaction === undefined) return;
    this.#open.delete(index);
    await transaction.end(how);
    if (how === "commit") for (const one of transaction.written) this.#keep(one);
  }

  #absolute(relative: { readonly facts: readonly RelativeFact[]; readonly deltas: readonly RelativeDelta[] }): Writing {
    const at = (us: number, to: Snap): Microseconds => snapped(this.#now - us, to);
    return {
      facts: relative.facts.map(({ agoUs: us, snap: to, ...rest }) => ({ ...rest, endedAt: at(us, to) })),
      deltas: relative.deltas.map(({ agoUs: us, ...rest }) => ({ ...rest, recordedAt: this.#now - us })),
    };
  }

  #keep({ facts, deltas }: Writing): void {
    this.#facts.push(...facts);
    this.#deltas.push(...deltas);
  }

  #counts(): unknown[] {
    const groups = new Map<string, Delta[]>();
    for (const one of this.#deltas) {
      const key = `${one.identity} ${one.subject} ${one.state}`;
      groups.set(key, [...(groups.get(key) ?? []), one]);
    }
    return [...groups.entries()]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([, [first, ...others]]) => {
        if (first === undefined) return [];
        const all = [first, ...others];
        return [
          {
            identity_id: first.identity,
            subject: first.subject,
            state: first.state,
            count: all.reduce((sum, one) => sum + one.delta, 0),
            first_at: timestamp(Math.min(...all.map((one) => one.recordedAt))),
          },
        ];
      });
  }
}

/** Nothing that can be seen waits to be folded. */
async function nothingIsUnfolded(db: Database): Promise<void> {
  const unfolded = await db.query({
    text: `select e.tick from tasker.fold_state s cross join lateral (
        select tick from tasker.ended union all select tick from tasker.state_deltas) e
      where e.tick >= s.watermark or e.tick = any (s.open_ticks)`,
  });
  assert.deepEqual(unfolded, []);
}

const emptied = [
  "step_facts",
  "task_facts",
  "state_deltas",
  "state_counts",
  "rollups",
  "rollup_histograms",
  "overall_histograms",
];

/** Random histories of facts, late commits, rollbacks and folds; every number must be that of a recount, at any time. */
export async function rollupEqualsRecount(db: Database, cases: number): Promise<void> {
  // Which rollups are kept depends on the present.
  await stopClock(db);
  await fc.assert(
    fc.asyncProperty(history, async ({ nowUs, nowSnap, actions, windows, ids }) => {
      await db.query({ text: emptied.map((table) => `delete from tasker.${table}`).join(";") });
      const now = snapped(firstNow + nowUs, nowSnap);
      await setClock(db, timestamp(now));
      const one = new Case(db, now);
      try {
        for (const step of actions) await one.do(step);
        // Transactions that are still open keep nobody else's facts from the rollups.
        await foldAll(db);
        await nothingIsUnfolded(db);
        for (const window of windows) await one.check(window, ids);
      } finally {
        await one.endAll();
      }
      for (const window of windows) await one.check(window, ids);
      await foldAll(db);
      for (const window of windows) await one.check(window, ids);
    }),
    randomCases(cases),
  );
}
