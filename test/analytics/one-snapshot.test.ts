import assert from "node:assert/strict";
import { after, test } from "node:test";

import { AnalyticsQueryService } from "../../src/analytics/analytics-query-service.ts";
import { defaultBottlenecks } from "../../src/analytics/parameters.ts";
import type { Database, Sql, Statement } from "../../src/postgres/sql.ts";
import { testDatabase } from "../support/database.ts";
import { createTask, foldAll, runStep } from "../support/engine.ts";
import { ownTemplate, within } from "./support.ts";

const { db } = await testDatabase({ after });

/** The service over a database in which `meanwhile` happens after each statement that it asks. */
function serviceWith(meanwhile: () => Promise<void>): AnalyticsQueryService {
  const busy = (sql: Sql): Sql => ({
    async query<Row extends object>(statement: Statement): Promise<Row[]> {
      const rows = await sql.query<Row>(statement);
      await meanwhile();
      return rows;
    },
  });
  const database: Database = {
    ...busy(db),
    transaction: (work, options) => db.transaction((sql) => work(busy(sql)), options),
    usage: () => db.usage(),
    close: () => Promise.resolve(),
  };
  return new AnalyticsQueryService({
    database,
    enginePool: () => db.usage(),
    thresholds: { errorRate: 0.2, poolUtilization: 0.8, slowStepSeconds: 30 },
  });
}

test("all numbers of an answer are of one moment, whatever happens while it is computed", async () => {
  const template = await ownTemplate(db, { pack: [], send: ["pack"] });
  const completeOne = async (): Promise<void> => {
    await createTask(db, template);
    await runStep(db, template, "pack");
    await runStep(db, template, "send");
    await foldAll(db);
  };
  await completeOne();
  let statements = 0;
  const service = serviceWith(async () => {
    statements += 1;
    await completeOne();
  });
  const { answer } = await service.bottlenecks({ ...defaultBottlenecks, ...within(template), min_executions: 1 });
  const executions = [...answer.slow_steps, ...answer.slow_tasks].map((one) => one.execution_count);
  const { total_tasks, tasks, steps } = answer.resource_utilization.system_health;
  const [count] = executions;
  assert.deepEqual(executions, [count, count, count]);
  assert.deepEqual([total_tasks, tasks.complete, steps.complete], [count, count, Number(count) * 2]);
  assert.ok(statements > 4, "something did happen meanwhile");
});

test("what was committed before an answer was asked for is in it", async () => {
  const template = await ownTemplate(db, { pack: [] });
  const service = serviceWith(() => Promise.resolve());
  for (let done = 1; done <= 5; done++) {
    await createTask(db, template);
    await runStep(db, template, "pack");
    const { answer } = await service.performance({ hours: 1, ...within(template) });
    assert.deepEqual([answer.completed_tasks, answer.total_tasks], [done, done]);
    if (done % 2 === 0) await foldAll(db);
  }
});
