import assert from "node:assert/strict";
import { after, test } from "node:test";

import type { NamespaceBacklog } from "../../src/analytics/backlog.ts";
import { openTestPool, testDatabase } from "../support/database.ts";
import {
  claim,
  claimStep,
  create,
  createTask,
  failStep,
  foldAll,
  moveClock,
  onlyRow,
  register,
  runStep,
  stopClock,
  type TestTemplate,
} from "../support/engine.ts";
import { analyticsOf, ownTemplate, within } from "./support.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

/** The backlog of a template's namespace, which must be the same before and after a fold. */
async function backlogOf(template: TestTemplate): Promise<NamespaceBacklog> {
  const ask = async (): Promise<readonly NamespaceBacklog[]> =>
    (await analyticsOf(db).backlog(within(template))).answer.namespaces;
  const unfolded = await ask();
  await foldAll(db);
  assert.deepEqual(await ask(), unfolded, "folding changed the answer");
  assert.equal(unfolded.length, 1);
  const [own] = unfolded;
  assert.ok(own);
  return own;
}

const many = (count: number): object[] => Array.from({ length: count }, () => ({}));

test("a namespace without work is there, with zeros and without ages", async () => {
  const template = await ownTemplate(db, { pack: [] });
  assert.deepEqual(await backlogOf(template), {
    namespace_name: template.spec.namespace,
    queued_steps: 0,
    claimable_steps: 0,
    claimable_is_exact: true,
    oldest_claimable_seconds: null,
    running_steps: 0,
    executions_per_second: 0,
    drain_seconds: 0,
  });
});

test("claimable is what may run by now: no children that wait, no later starts, no pauses before a retry", async () => {
  const template = await ownTemplate(db, { pack: [], send: ["pack"] }, { retry: { maxAttempts: 3 } });
  await create(db, template, [{}, {}, {}, {}, { runAt: "2027-01-01T00:00:00.000000Z" }]);
  await moveClock(db, 30);
  await claimStep(db, template, "pack");
  await failStep(db, template, "pack", { retryAfterSeconds: 600 });
  const { namespace_name: _, ...figures } = await backlogOf(template);
  assert.deepEqual(figures, {
    queued_steps: 4,
    claimable_steps: 2,
    claimable_is_exact: true,
    oldest_claimable_seconds: 30,
    running_steps: 1,
    executions_per_second: 0,
    drain_seconds: null,
  });
  await moveClock(db, 600);
  const later = await backlogOf(template);
  assert.deepEqual([later.claimable_steps, later.oldest_claimable_seconds], [3, 630]);
});

test("the time to drain is what is claimable over the executions of the last five minutes", async () => {
  const template = await ownTemplate(db, { pack: [] });
  await create(db, template, many(100));
  await moveClock(db, 3600);
  for (let done = 0; done < 20; done++) await runStep(db, template, "pack", done === 0 ? 0 : 10);
  await failStep(db, template, "pack");
  const all = await backlogOf(template);
  assert.deepEqual([all.claimable_steps, all.executions_per_second], [79, 21 / 300]);
  assert.ok(Math.abs((all.drain_seconds ?? 0) - 79 / (21 / 300)) < 1e-6);
  await moveClock(db, 200);
  // Those that ended 301 seconds ago or earlier no longer count: at 0, 10, … 190 s, of which 90 s lie 300 s back.
  const some = await backlogOf(template);
  assert.equal(some.executions_per_second, 11 / 300);
  await moveClock(db, 300);
  assert.equal((await backlogOf(template)).drain_seconds, null);
});

test("a system that began less than five minutes ago is measured since then", async () => {
  const { db: fresh } = await testDatabase({ after });
  await stopClock(fresh);
  const template = await register(fresh, { pack: [] });
  await create(fresh, template, many(5));
  for (let done = 0; done < 3; done++) await runStep(fresh, template, "pack", 10);
  const [own] = (await analyticsOf(fresh).backlog({})).answer.namespaces;
  assert.equal(own?.executions_per_second, 0.1);
  assert.ok(Math.abs((own.drain_seconds ?? 0) - 20) < 1e-9);
});

test("more than a thousand are counted exactly unless more than a thousand wait for their time as well", async () => {
  const template = await ownTemplate(db, { pack: [] });
  const figures = async () => {
    const { queued_steps, claimable_steps, claimable_is_exact } = await backlogOf(template);
    return [queued_steps, claimable_steps, claimable_is_exact];
  };
  await create(db, template, many(1500));
  await create(
    db,
    template,
    Array.from({ length: 10 }, () => ({ runAt: "2027-01-01T00:00:00.000000Z" })),
  );
  assert.deepEqual(await figures(), [1510, 1500, true]);
  await create(
    db,
    template,
    Array.from({ length: 1290 }, () => ({ runAt: "2027-01-01T00:00:00.000000Z" })),
  );
  assert.deepEqual(await figures(), [2800, 1800, false]);
  await claim(db, template, { limit: 600 });
  assert.deepEqual(await figures(), [2200, 900, true]);
});

test("namespaces come by name, one by filter, and none for a name that nobody knows", async () => {
  const template = await ownTemplate(db, { pack: [] });
  const { answer, identitiesKnown } = await analyticsOf(db).backlog({});
  const names = answer.namespaces.map(({ namespace_name }) => namespace_name);
  assert.ok(names.includes(template.spec.namespace) && names.length > 3);
  assert.deepEqual(names, names.toSorted());
  assert.equal(identitiesKnown, true);
  const unknown = await analyticsOf(db).backlog({ namespace: "nobody" });
  assert.deepEqual([unknown.answer.namespaces, unknown.identitiesKnown], [[], false]);
});

test("its cost does not grow with history, nor with the queue", async (t) => {
  const { url } = await testDatabase(t);
  // One session, which reports what it read at once.
  const own = openTestPool(url, 1);
  t.after(() => own.close());
  const template = await register(own, { pack: [] });
  const other = await register(own, { pack: [] }, { namespace: "other" });
  await createTask(own, other);

  /** Finished steps and their facts, folded: as if they had run long ago, or just now. */
  const history = async (count: number): Promise<void> => {
    await own.query({
      text: `with made as (
          insert into tasker.tasks (id, named_task_id, revision_id, state, input, input_checked, step_count, unfinished_steps,
            runnable_steps, created_at, life_started_at, changed_at, ended_at)
          select gen_random_uuid(), $1, 1, 'complete', 'null', true, 1, 0, 0, at, at, at, at
            from generate_series(1, $3) i cross join lateral (select tasker.clock() - i * interval '1 millisecond' as at) x
          returning id, ended_at as at),
        steps as (
          insert into tasker.workflow_steps (id, task_id, named_task_id, named_step_id, state, priority, unmet_dependencies,
            created_at, life_started_at, ready_at, first_started_at, started_at, finished_at)
          select gen_random_uuid(), id, $1, $2, 'complete', 0, 0, at, at, at, at, at, at from made)
        insert into tasker.step_facts (ended_at, tick, dependency_wait_us, queue_wait_us, retry_us, run_us, task_id, identity_id,
          attempts, failed_attempts, outcome, reopened)
        select at, tasker.tick(), 0, 0, 0, 1000, id, $2, 1, 0, 'complete', false from made`,
      values: [template.namedTaskId, template.stepIds.get("pack"), count],
    });
    await own.query({ text: "select tasker.fold(1000000)" });
    await own.query({ text: "vacuum analyze" });
  };
  const visited = async (): Promise<number> => {
    await own.query({ text: "select pg_stat_force_next_flush()" });
    const text = `select ((select sum(seq_tup_read) from pg_stat_user_tables where schemaname = 'tasker')
        + (select sum(idx_tup_read) from pg_stat_user_indexes where schemaname = 'tasker'))::bigint as rows`;
    return (await onlyRow<{ rows: number }>(own, text)).rows;
  };
  const read = async (): Promise<number> => {
    const before = await visited();
    await own.query({ text: "select * from tasker.get_backlog()" });
    return (await visited()) - before;
  };
  await history(6000);
  const small = await read();
  await history(30_000);
  const large = await read();
  await create(own, template, many(5000));
  const queued = await read();
  assert.ok(small >= 5000, `the bounded look at the latest facts is counted: ${small}`);
  assert.ok(large <= small + 100, `with six times the history ${large} rows were read instead of ${small}`);
  assert.ok(queued <= small + 2500, `with 5,000 queued steps ${queued} rows were read instead of ${small}`);
});
