import assert from "node:assert/strict";

import fc from "fast-check";

import type { Database } from "../../src/postgres/sql.ts";
import { foldAll, onlyRow, setClock, stopClock } from "../support/engine.ts";
import { randomCases } from "../support/random.ts";
import { type Delta, OpenTransaction, write, type Writing } from "./fact-writer.ts";
import { beginning, checkWindow, type Fact, type Kept, type Microseconds, timestamp } from "./recount.ts";
import {
  type Action,
  day,
  firstNow,
  history,
  type RelativeDelta,
  type RelativeFact,
  type Snap,
  snapped,
  templateOf,
} from "./rollup-history.ts";
import { alteredCopy, foldStatements } from "./snapshots.ts";

/** One random history against the recount of what it committed. */
class Case {
  readonly #db: Database;
  readonly #killedFolds: readonly string[];
  #now: Microseconds;
  /** From when on facts and hours are there. */
  #kept: Kept = beginning;
  readonly #open = new Map<number, OpenTransaction>();
  readonly #facts: Fact[] = [];
  readonly #deltas: Delta[] = [];

  constructor(db: Database, killedFolds: readonly string[], now: Microseconds) {
    this.#db = db;
    this.#killedFolds = killedFolds;
    this.#now = now;
  }

  async do(one: Action): Promise<void> {
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
      case "kill":
        await assert.rejects(this.#db.query({ text: `select folded from ${this.#killedFolds[one.after]}(1000)` }), {
          code: "57P01",
        });
        return;
      case "step clock":
        // Never by so much that a window could end before the oldest hours.
        this.#now = Math.max(firstNow, Math.min(firstNow + 2 * day - 1, snapped(this.#now + one.byUs, one.snap)));
        return;
      case "expire":
        await this.#expire(one.factsDays, one.hoursDays);
        return;
      case "move":
        await this.#move();
        return;
      case "check":
        await this.check(one.hours, null);
    }
  }

  async endAll(): Promise<void> {
    for (const one of this.#open.keys()) await this.#end(one, "commit");
  }

  async check(window: number, ids: readonly number[] | null): Promise<void> {
    await checkWindow(this.#db, this.#facts, { hours: window, now: this.#now, ids, kept: this.#kept });
    const counts = await this.#db.query({
      text: `select identity_id, subject, state, count, first_at from tasker.current_counts(null) order by 1, 2, 3`,
    });
    assert.deepEqual(counts, this.#counts());
  }

  /** Drops partitions of facts and deletes hours that are past a retention, as the chores do. Who writes would hold them up. */
  async #expire(factsDays: number, hoursDays: number): Promise<void> {
    await this.endAll();
    await setClock(this.#db, timestamp(this.#now));
    const { dropped } = await onlyRow<{ dropped: string[] }>(
      this.#db,
      "select tasker.drop_expired_partitions($1) as dropped from tasker.delete_expired_hours($2, 1000000)",
      [factsDays, hoursDays],
    );
    await this.#db.query({ text: "select tasker.drop_expired_five_minutes()" });
    const ends = dropped.map((name) => Date.parse(name.replace(/^.*_(\d{4})(\d\d)(\d\d)$/u, "$1-$2-$3")) * 1000 + day);
    const hoursFrom = Math.floor(this.#now / day) * day - hoursDays * day;
    this.#kept = {
      factsFrom: Math.max(this.#kept.factsFrom, ...ends),
      hoursFrom: Math.max(this.#kept.hoursFrom, hoursFrom),
    };
  }

  /** As after a restore into another cluster, for which the guard waits until all that took a tick has ended. */
  async #move(): Promise<void> {
    await this.endAll();
    await this.#db.query({ text: "update tasker.tick_generation set system_identifier = 'another cluster'" });
    assert.deepEqual(await onlyRow(this.#db, "select adopted from tasker.adopt_cluster()"), { adopted: true });
    await nothingIsUnfolded(this.#db);
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
    this.#deltas.push(...deltas, ...facts.flatMap(deltasOf));
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

/** What a fact that knows where its life came from changes in the counts. */
function deltasOf({ identity, subject, outcome, endedAt, fromState }: Fact): Delta[] {
  if (fromState === null || fromState === undefined) return [];
  const change = { identity: templateOf[identity] ?? 0, subject, recordedAt: endedAt };
  return [
    { ...change, state: fromState, delta: -1 },
    { ...change, state: outcome, delta: 1 },
  ];
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

/** Three days have partitions of their own, which a history may drop; of more the planner would think longer. */
const days = ["2026-03-06", "2026-03-07", "2026-03-08"];
const partitions = ["step_facts", "task_facts", "state_deltas"].flatMap((table) =>
  days.map((of) => {
    const next = new Date(Date.parse(of) + day / 1000).toISOString().slice(0, 10);
    return `create table if not exists tasker.${table}_${of.replaceAll("-", "")}
      partition of tasker.${table} for values from ('${of}Z') to ('${next}Z')`;
  }),
);

/** Everything as before the first history. */
const beginAnew = [
  ...emptied.map((table) => `delete from tasker.${table}`),
  "update tasker.tick_generation set generation = 0",
  "update tasker.fold_state set watermark = tasker.horizon(), open_ticks = '{}', fives_from = '-infinity'",
  "update tasker.critical_path_state set watermark = tasker.horizon(), open_ticks = '{}'",
  "update tasker.retention_state set facts_from = '-infinity', hours_from = '-infinity'",
  "set client_min_messages = warning",
  ...partitions,
  "reset client_min_messages",
].join(";");

/** Whose steps are whose: rollup-history.ts has the same. */
const dimension = `
  insert into tasker.analytics_identities (id, namespace_name, task_name, version, step_name) overriding system value
    values (4, 'shop', 'one', '1', null), (5, 'shop', 'other', '1', null), (1, 'shop', 'one', '1', 'a'), (2, 'shop', 'one', '1', 'b'),
      (3, 'shop', 'other', '1', 'a');
  insert into tasker.task_namespaces (name) values ('shop');
  insert into tasker.named_tasks (id, namespace_id, name, version) select i.id, n.id, i.task_name, i.version
    from tasker.analytics_identities i, tasker.task_namespaces n where i.step_name is null;
  insert into tasker.named_steps (id, named_task_id, name) select s.id, t.id, s.step_name from tasker.analytics_identities s
    join tasker.analytics_identities t using (namespace_name, task_name, version) where s.step_name is not null and t.step_name is null`;

async function prepare(db: Database): Promise<string[]> {
  await stopClock(db);
  const others = await db.query<{ name: string }>({
    text: `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where c.relnamespace = 'tasker'::regnamespace and c.relkind = 'r' and c.relname ~ '_[0-9]{8}$'`,
  });
  await db.query({ text: others.map(({ name }) => `drop table tasker.${name}`).join(";") });
  await db.query({ text: dimension });
  const kill = "perform pg_terminate_backend(pg_backend_pid());";
  const folds: string[] = [];
  for (const [at, text] of foldStatements.entries()) {
    folds.push(await alteredCopy(db, "tasker.fold", `fold_killed_${at}`, [[text, `${text} ${kill}`]]));
  }
  return folds;
}

/**
 * Random histories of facts, late commits, rollbacks and folds, with folders that are killed between statements, a clock that is set
 * on and back, partitions and hours that are dropped, and moves to another cluster; every number must be that of a recount, at any
 * time.
 */
export async function rollupEqualsRecount(db: Database, cases: number): Promise<void> {
  const killedFolds = await prepare(db);
  await fc.assert(
    fc.asyncProperty(history, async ({ nowUs, nowSnap, actions, windows, ids }) => {
      await db.query({ text: beginAnew });
      const one = new Case(db, killedFolds, snapped(firstNow + nowUs, nowSnap));
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
