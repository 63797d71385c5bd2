import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { Sql, Statement } from "../../src/postgres/sql.ts";
import { testDatabase } from "../support/database.ts";
import { stopClock } from "../support/engine.ts";
import { ModelCheck } from "./model-check.ts";

test("whatever two workers, operators and the clock do, tasks and steps are as the plain model of the states has them", async (t) => {
  const { db } = await testDatabase(t);
  await stopClock(db);
  await new ModelCheck(db).run(600);
});

/** A database whose engine has this defect: a trigger before each change of a row of `table`. */
const defects: readonly { readonly what: string; readonly table: string; readonly change: string }[] = [
  {
    what: "counts a dependant down once although two of its parents end in one batch",
    table: "workflow_steps",
    change:
      "if new.unmet_dependencies < old.unmet_dependencies - 1 then new.unmet_dependencies := old.unmet_dependencies - 1; end if;",
  },
  {
    what: "forgets that an attempt failed",
    table: "workflow_steps",
    change: "if new.failed_attempts = 2 then new.failed_attempts := 1; end if;",
  },
  {
    what: "counts one end when two steps of a task end in one batch",
    table: "tasks",
    change:
      "if tg_op = 'UPDATE' and new.unfinished_steps = old.unfinished_steps - 2 then new.unfinished_steps := old.unfinished_steps - 1; end if;",
  },
  {
    what: "lets a retry begin too early",
    table: "workflow_steps",
    change:
      "if new.state = 'waiting_for_retry' then new.available_at := new.available_at - interval '1 millisecond'; end if;",
  },
  {
    what: "forgets the key of a task",
    table: "tasks",
    change: "new.idempotency_key := null;",
  },
  {
    what: "keeps attempts over a reset",
    table: "workflow_steps",
    change: "if new.life > old.life then new.attempt := old.attempt; end if;",
  },
];

describe("the model tells of an engine that", { concurrency: 1 }, () => {
  for (const { what, table, change } of defects) {
    test(what, async (t) => {
      const { db } = await testDatabase(t);
      await stopClock(db);
      await db.query({
        text: `create function tasker_test.err() returns trigger language plpgsql as $$ begin ${change} return new; end $$`,
      });
      await db.query({
        text: `create trigger err before insert or update on tasker.${table} for each row execute function tasker_test.err()`,
      });
      assert.notEqual(await new ModelCheck(db).firstDifference(400, 1), undefined);
    });
  }

  test("misreports an attempt", async (t) => {
    const { db } = await testDatabase(t);
    await stopClock(db);
    assert.match((await new ModelCheck(db, new Misreporting(db)).firstDifference(400, 1)) ?? "", /^claimed/u);
  });
});

/** The real thing, which says of each second attempt that it is the first. */
class Misreporting implements Sql {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  async query<Row extends object>(statement: Statement): Promise<Row[]> {
    const rows = await this.#sql.query<Row>(statement);
    return rows.map((row) => ("attempt" in row && row.attempt === 2 ? { ...row, attempt: 1 } : row));
  }
}
