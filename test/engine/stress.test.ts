import assert from "node:assert/strict";
import { after, test } from "node:test";

import { taskEnd } from "../../src/workflow/states.ts";
import { testDatabase } from "../support/database.ts";
import { createTask, onlyRow, register } from "../support/engine.ts";
import { stress } from "./stress.ts";

const { db } = await testDatabase({ after });

test("whatever four connections do at once, counters, counts and facts are those of the rows, and every task can end", async () => {
  await stress(db, { cases: 100, length: 20 });
});

test("the database ends tasks by the rule of taskEnd, for all counters", async () => {
  const template = await register(db, { a: [], b: [], c: [] }, { name: "rule" });
  const undo = new Error("undone");
  for (const failed of [0, 1, 2]) {
    for (const unfinished of [0, 1, 2]) {
      for (let runnable = 0; runnable <= unfinished; runnable++) {
        const work = db.transaction(async (sql) => {
          const task = await createTask(sql, template);
          await sql.query({
            text: "update tasker.tasks set unfinished_steps = $2, runnable_steps = $3, failed_steps = $4 where id = $1",
            values: [task, unfinished, runnable, failed],
          });
          await sql.query({ text: "select tasker.end_tasks(array[$1::uuid], tasker.clock(), null)", values: [task] });
          const { state } = await onlyRow<{ state: string }>(sql, "select state from tasker.tasks where id = $1", [
            task,
          ]);
          assert.equal(state, taskEnd({ unfinished, runnable, failed }) ?? "pending");
          throw undo;
        });
        await work.catch((error: unknown) => {
          if (error !== undo) throw error;
        });
      }
    }
  }
});
