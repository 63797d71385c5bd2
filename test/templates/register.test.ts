import assert from "node:assert/strict";
import { after, test } from "node:test";

import { createTasks } from "../../src/engine/create-tasks.ts";
import { identitiesMax, registerTemplate } from "../../src/templates/register.ts";
import { testDatabase } from "../support/database.ts";
import {
  claimStep,
  createTask,
  failure,
  onlyRow,
  register,
  settle,
  statesOf,
  success,
  templateSpec,
} from "../support/engine.ts";

const { db } = await testDatabase({ after });

const task = { input: "null", inputChecked: true };

/** How many rows there are of a template's kind. */
async function count(text: string, name: string): Promise<number> {
  return (await onlyRow<{ n: number }>(db, `select count(*) as n from ${text} and t.name = $1`, [name])).n;
}

const revisions = "tasker.named_task_revisions r join tasker.named_tasks t on t.id = r.named_task_id where true";

test("a new template gets an identity, and so does each of its steps", async () => {
  const template = await register(db, { pack: [], send: ["pack"] }, { name: "identities" });
  assert.deepEqual([template.revision, template.changed], [1, true]);
  const rows = await db.query({
    text: "select id, namespace_name, task_name, version, step_name from tasker.analytics_identities where task_name = $1 order by id",
    values: ["identities"],
  });
  const identity = { namespace_name: "shop", task_name: "identities", version: "1.0.0" };
  assert.deepEqual(rows, [
    { id: template.namedTaskId, ...identity, step_name: null },
    { id: template.stepIds.get("pack"), ...identity, step_name: "pack" },
    { id: template.stepIds.get("send"), ...identity, step_name: "send" },
  ]);
});

test("registering the same definition again changes nothing", async () => {
  const first = await register(db, { pack: [], send: ["pack"] }, { name: "again" });
  await createTask(db, first);
  const again = await register(db, { pack: [], send: ["pack"] }, { name: "again" });
  assert.deepEqual(again, { ...first, changed: false });
  assert.equal(await count(revisions, "again"), 1);
});

test("another policy is a new revision; tasks that exist keep theirs", async () => {
  const old = await register(db, { pack: [] }, { name: "policy", retry: { maxAttempts: 1 } });
  const before = await createTask(db, old);
  const next = await register(db, { pack: [] }, { name: "policy", retry: { maxAttempts: 5 } });
  assert.deepEqual([next.revision, next.changed, next.namedTaskId], [2, true, old.namedTaskId]);
  assert.deepEqual(next.stepIds, old.stepIds);
  await createTask(db, next);

  const pinned = await db.query({
    text: `select t.id, r.revision, (r.definition #>> '{steps,0,retry,maxAttempts}')::int as attempts
      from tasker.tasks t join tasker.named_task_revisions r on r.id = t.revision_id where t.named_task_id = $1 order by t.created_at`,
    values: [old.namedTaskId],
  });
  assert.deepEqual(
    pinned.map((row) => ({ ...row, id: null })),
    [
      { id: null, revision: 1, attempts: 1 },
      { id: null, revision: 2, attempts: 5 },
    ],
  );
  const held = await claimStep(db, next, "pack");
  assert.deepEqual([held.taskId, held.revisionId], [before, old.revisionId]);
  await settle(db, failure(held));
  assert.equal((await statesOf(db, before)).task, "error");
});

test("another input schema is a new revision", async () => {
  const spec = templateSpec({ pack: [] }, { name: "schema" });
  await registerTemplate(db, spec, { type: "string" }, false);
  assert.equal((await registerTemplate(db, spec, { type: "string" }, false)).changed, false);
  const next = await registerTemplate(db, spec, { type: "number" }, false);
  assert.deepEqual([next.revision, next.changed], [2, true]);
  assert.deepEqual(
    await onlyRow(db, "select input_schema from tasker.named_task_revisions where id = $1", [next.revisionId]),
    { input_schema: { type: "number" } },
  );
});

test("another graph under a version that has tasks is refused with what to do about it, and nothing is written", async () => {
  const template = await register(db, { pack: [], send: ["pack"] }, { name: "graph" });
  await createTask(db, template);
  const changed = register(db, { pack: [], send: [] }, { name: "graph" });
  await assert.rejects(changed, {
    code: "graph_changed",
    message:
      "Template shop/graph 1.0.0 has tasks, and its steps or their order are not what they were: raise its version",
  });
  await assert.rejects(register(db, { pack: [], ship: ["pack"] }, { name: "graph" }), { code: "graph_changed" });
  assert.equal(await count(revisions, "graph"), 1);
  assert.equal((await createTasks(db, template, [task]))?.length, 1);
  const raised = await register(db, { pack: [], send: [] }, { name: "graph", version: "2.0.0" });
  assert.equal(raised.revision, 1);
});

test("tasks that were ever accepted count, also when they are over", async () => {
  const template = await register(db, { pack: [] }, { name: "over" });
  await createTask(db, template);
  await settle(db, success(await claimStep(db, template, "pack")));
  await assert.rejects(register(db, { other: [] }, { name: "over" }), { code: "graph_changed" });
});

test("another graph is accepted as long as there are no tasks", async () => {
  await register(db, { pack: [], send: ["pack"] }, { name: "unused" });
  const next = await register(db, { send: [], wrap: [], pack: ["send", "wrap"] }, { name: "unused" });
  assert.equal(next.revision, 2);
  const id = await createTask(db, next);
  assert.deepEqual((await statesOf(db, id)).steps, { send: "enqueued", wrap: "enqueued", pack: "pending" });
});

test("another graph is accepted when it is allowed; tasks of the old one go on as they were created", async () => {
  const old = await register(db, { pack: [], send: ["pack"] }, { name: "allowed" });
  const before = await createTask(db, old);
  const spec = templateSpec({ pack: [], mail: ["pack"] }, { name: "allowed" });
  const next = await registerTemplate(db, spec, undefined, true);
  assert.equal(next.revision, 2);
  assert.equal(next.stepIds.get("pack"), old.stepIds.get("pack"), "a step that stays keeps its identity");
  const held = await claimStep(db, old, "pack");
  await settle(db, success(held));
  await settle(db, success(await claimStep(db, old, "send")));
  assert.equal((await statesOf(db, before)).task, "complete");
  const id = await createTask(db, { ...next, stepCount: 2 });
  assert.deepEqual((await statesOf(db, id)).steps, { pack: "enqueued", mail: "pending" });
});

test("going back to an earlier definition is a revision again", async () => {
  await register(db, { pack: [] }, { name: "back", retry: { maxAttempts: 1 } });
  await register(db, { pack: [] }, { name: "back", retry: { maxAttempts: 2 } });
  const back = await register(db, { pack: [] }, { name: "back", retry: { maxAttempts: 1 } });
  assert.deepEqual([back.revision, back.changed], [3, true]);
});

test("identities are bounded: what goes beyond is refused and leaves nothing, what is there already still registers", async (t) => {
  const { db: full } = await testDatabase(t);
  const known = await register(full, { pack: [] }, { name: "known" });
  await full.query({
    text: `insert into tasker.analytics_identities (namespace_name, task_name, version, step_name)
      select 'old', 'task', '1', 's' || n from generate_series(1, $1) n`,
    values: [identitiesMax - 2 - 2],
  });
  await assert.rejects(register(full, { pack: [], send: [] }, { name: "beyond" }), {
    code: "too_many_identities",
    message: "Template shop/beyond 1.0.0 would make 20001 templates and steps in all; the analytics keep at most 20000",
  });
  const rows = await full.query({
    text: `select name from tasker.named_tasks where name = 'beyond'
      union all select task_name from tasker.analytics_identities where task_name = 'beyond'`,
  });
  assert.deepEqual(rows, []);
  await register(full, { pack: [] }, { name: "exactly" });
  assert.equal((await register(full, { pack: [] }, { name: "known" })).changed, false);
  const policy = await register(full, { pack: [] }, { name: "known", retry: { maxAttempts: 7 } });
  assert.equal(policy.revision, known.revision + 1);
});
