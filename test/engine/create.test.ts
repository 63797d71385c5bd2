import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";

import { createdStepsMax, createTasks } from "../../src/engine/create-tasks.ts";
import { newId } from "../../src/engine/ids.ts";
import { readTask } from "../../src/engine/read-task.ts";
import { registerTemplate } from "../../src/templates/register.ts";
import { testDatabase } from "../support/database.ts";
import { deferred } from "../support/deferred.ts";
import {
  claim,
  create,
  createTask,
  databaseTime,
  moveClock,
  onlyRow,
  register,
  statesOf,
  stopClock,
  templateSpec,
  untilBlocked,
} from "../support/engine.ts";
import { checkInvariants } from "./invariants.ts";

const { db } = await testDatabase({ after });
await stopClock(db);
afterEach(() => checkInvariants(db));

const diamond = { a: [], b: ["a"], c: ["a"], d: ["b", "c"] };

test("a new task has all its steps: those without parents can be claimed, the others wait", async () => {
  const template = await register(db, diamond, { name: "new" });
  const id = await createTask(db, template, { input: { items: [1, 2] } });
  assert.deepEqual(await statesOf(db, id), {
    task: "pending",
    steps: { a: "enqueued", b: "pending", c: "pending", d: "pending" },
  });
  const steps = await db.query({
    text: `select n.name, s.unmet_dependencies as unmet, s.attempt, s.life, s.ready_at is not null as ready
      from tasker.workflow_steps s join tasker.named_steps n on n.id = s.named_step_id where s.task_id = $1 order by n.name`,
    values: [id],
  });
  assert.deepEqual(steps, [
    { name: "a", unmet: 0, attempt: 0, life: 1, ready: true },
    { name: "b", unmet: 1, attempt: 0, life: 1, ready: false },
    { name: "c", unmet: 1, attempt: 0, life: 1, ready: false },
    { name: "d", unmet: 2, attempt: 0, life: 1, ready: false },
  ]);
});

test("a task keeps what its creator said of it", async () => {
  const template = await register(db, { a: [] }, { name: "said" });
  const id = await createTask(db, template, {
    input: { text: "π ≠ 3", none: null, list: [1.5, "x"] },
    idempotencyKey: "order 17",
    correlationId: "customer 4",
    tags: ["urgent", 'with "quotes"'],
    priority: 7,
    runAt: "2027-01-01T00:00:00.000001Z",
  });
  const task = await readTask(db, id);
  assert.ok(task);
  const { steps, ...rest } = task;
  assert.deepEqual(rest, {
    id,
    namespace: "shop",
    name: "said",
    version: "1.0.0",
    revision: 1,
    state: "pending",
    input: { text: "π ≠ 3", none: null, list: [1.5, "x"] },
    idempotencyKey: "order 17",
    correlationId: "customer 4",
    tags: ["urgent", 'with "quotes"'],
    priority: 7,
    runAt: "2027-01-01T00:00:00.000001Z",
    createdAt: await databaseTime(db),
    endedAt: null,
  });
  assert.deepEqual(
    steps.map(({ name, availableAt }) => [name, availableAt]),
    [["a", "2027-01-01T00:00:00.000001Z"]],
  );
});

test("a batch creates every task with the steps of its own, in the order of the batch", async () => {
  const template = await register(db, diamond, { name: "batch" });
  const created = await create(
    db,
    template,
    Array.from({ length: 25 }, (_, i) => ({ input: i, priority: i % 3 })),
  );
  assert.equal(new Set(created.map(({ id }) => id)).size, 25);
  assert.ok(created.every(({ outcome }) => outcome === "created"));
  for (const [index, { id }] of created.entries()) {
    const task = await readTask(db, id);
    assert.equal(task?.input, index);
    assert.deepEqual(
      task?.steps.map((step) => step.name),
      ["a", "b", "c", "d"],
    );
  }
  const { edges } = await onlyRow<{ edges: string[] }>(
    db,
    `select array_agg(distinct parent.name || '>' || child.name order by parent.name || '>' || child.name) as edges
      from tasker.workflow_step_edges e
      join tasker.workflow_steps p on p.id = e.parent_step_id join tasker.named_steps parent on parent.id = p.named_step_id
      join tasker.workflow_steps c on c.id = e.child_step_id join tasker.named_steps child on child.id = c.named_step_id
      where p.task_id = c.task_id and p.named_task_id = $1`,
    [template.namedTaskId],
  );
  assert.deepEqual(edges, ["a>b", "a>c", "b>d", "c>d"]);
});

test("the same idempotency key gives the first task again, another input under it is a conflict", async () => {
  const template = await register(db, { a: [] }, { name: "idempotent" });
  const first = await create(db, template, [{ idempotencyKey: "k", input: { x: 1, y: [2] } }]);
  const again = await create(db, template, [{ idempotencyKey: "k", input: { y: [2], x: 1 }, priority: 9 }]);
  assert.deepEqual(again, [{ id: first[0]?.id, outcome: "existing" }]);
  const other = await create(db, template, [{ idempotencyKey: "k", input: { x: 2 } }]);
  assert.deepEqual(other, [{ id: first[0]?.id, outcome: "conflict" }]);
  const { n } = await onlyRow<{ n: number }>(db, "select count(*) as n from tasker.tasks where named_task_id = $1", [
    template.namedTaskId,
  ]);
  assert.equal(n, 1);
});

test("a key belongs to its template: another version may use it again", async () => {
  const one = await register(db, { a: [] }, { name: "keyed", version: "1" });
  const two = await register(db, { a: [] }, { name: "keyed", version: "2" });
  const [first] = await create(db, one, [{ idempotencyKey: "k" }]);
  const [second] = await create(db, two, [{ idempotencyKey: "k" }]);
  assert.deepEqual([first?.outcome, second?.outcome], ["created", "created"]);
  assert.notEqual(first?.id, second?.id);
});

test("a batch may mix new keys, used ones and one key twice", async () => {
  const template = await register(db, { a: [], b: ["a"] }, { name: "mixed" });
  const [old] = await create(db, template, [{ idempotencyKey: "old", input: 0 }]);
  const created = await create(db, template, [
    { idempotencyKey: "twice", input: 1 },
    { input: 2 },
    { idempotencyKey: "old", input: 0 },
    { idempotencyKey: "twice", input: 1 },
    { idempotencyKey: "twice", input: 9 },
    { input: null },
  ]);
  assert.deepEqual(
    created.map(({ outcome }) => outcome),
    ["created", "created", "existing", "existing", "conflict", "created"],
  );
  assert.equal(created[2]?.id, old?.id);
  assert.equal(created[3]?.id, created[0]?.id);
  const claims = await claim(db, template);
  assert.deepEqual(
    new Set(claims.map(({ taskId }) => taskId)),
    new Set([old, ...[0, 1, 5].map((i) => created[i])].map((task) => task?.id)),
  );
});

test("an input of null is stored, and found again under its key", async () => {
  const template = await register(db, { a: [] }, { name: "nothing" });
  const [first] = await create(db, template, [{ idempotencyKey: "k", input: null }]);
  const [again] = await create(db, template, [{ idempotencyKey: "k", input: null }]);
  assert.deepEqual(again, { id: first?.id, outcome: "existing" });
});

test("of eight connections that create under one key at once one creates and all get its task", async () => {
  const template = await register(db, diamond, { name: "race" });
  for (let round = 0; round < 5; round++) {
    const results = await Promise.all(
      Array.from({ length: 8 }, () => create(db, template, [{ idempotencyKey: `k${round}`, input: round }])),
    );
    const created = results.flat();
    assert.equal(created.filter(({ outcome }) => outcome === "created").length, 1);
    assert.equal(new Set(created.map(({ id }) => id)).size, 1);
  }
});

test("batches with the same keys in another order wait for each other instead of deadlocking", async () => {
  const template = await register(db, { a: [] }, { name: "orders" });
  const batch = (...keys: readonly string[]) =>
    create(
      db,
      template,
      keys.map((idempotencyKey) => ({ idempotencyKey })),
    );
  // Both batches wait in their middle until this transaction is over: each has locked all that it comes to before.
  const [begun, commit] = [deferred(), deferred()];
  const middle = db.transaction(async (sql) => {
    await create(sql, template, [{ idempotencyKey: "m" }]);
    begun.resolve();
    await commit.promise;
  });
  await begun.promise;
  const first = batch("a", "m", "z");
  await untilBlocked(db, 1);
  const second = batch("z", "m", "a");
  await untilBlocked(db, 2);
  commit.resolve();
  await middle;
  const outcomes = [await first, await second].map((created) => created.map(({ outcome }) => outcome));
  assert.deepEqual(outcomes, [
    ["created", "existing", "created"],
    ["existing", "existing", "existing"],
  ]);
});

test("with a revision that is not the current one nothing is created", async () => {
  const old = await register(db, { a: [] }, { name: "stale" });
  await registerTemplate(db, templateSpec({ a: [] }, { name: "stale", retry: { maxAttempts: 9 } }), undefined, false);
  const task = { input: "1", inputChecked: true };
  assert.equal(await createTasks(db, old, [task, task]), null);
  const { n } = await onlyRow<{ n: number }>(db, "select count(*) as n from tasker.tasks where named_task_id = $1", [
    old.namedTaskId,
  ]);
  assert.equal(n, 0);
});

test("inside a caller's transaction a task exists when that commits, with the caller's own rows", async () => {
  const template = await register(db, diamond, { name: "together" });
  await db.query({ text: "create table orders (id int, task_id uuid)" });
  let id = "";
  await db.transaction(async (sql) => {
    id = await createTask(sql, template);
    await sql.query({ text: "insert into orders values (1, $1)", values: [id] });
    assert.equal(await readTask(db, id), null, "nobody else sees it yet");
    assert.deepEqual(await claim(db, template), []);
  });
  assert.deepEqual(await db.query({ text: "select task_id from orders" }), [{ task_id: id }]);
  assert.equal((await claim(db, template)).length, 1);
});

test("a rollback of the caller's transaction leaves nothing, and the key is free again", async () => {
  const template = await register(db, diamond, { name: "apart" });
  const counts = "select (select count(*) from tasker.state_deltas) + (select count(*) from tasker.task_history) as n";
  const before = await onlyRow(db, counts);
  const reason = new Error("the caller's own reason");
  const failed = db.transaction(async (sql) => {
    await create(sql, template, [{ idempotencyKey: "k" }, {}]);
    throw reason;
  });
  await assert.rejects(failed, (error) => error === reason);
  assert.deepEqual(await onlyRow(db, counts), before);
  const { n } = await onlyRow<{ n: number }>(db, "select count(*) as n from tasker.tasks where named_task_id = $1", [
    template.namedTaskId,
  ]);
  assert.equal(n, 0);
  assert.equal((await create(db, template, [{ idempotencyKey: "k", input: 2 }]))[0]?.outcome, "created");
});

test("a task that is to start later is not claimed before", async () => {
  const template = await register(db, { a: [], b: ["a"] }, { name: "later" });
  const { runAt } = await onlyRow<{ runAt: string }>(db, `select tasker.clock() + interval '10 s' as "runAt"`);
  await createTask(db, template, { runAt });
  await moveClock(db, 9.999_999);
  assert.deepEqual(await claim(db, template), []);
  await moveClock(db, 0.000_001);
  assert.equal((await claim(db, template)).length, 1);
});

test("more steps than one call may create are refused with the limit", async () => {
  const template = await register(db, { a: [] }, { name: "bounded" });
  const tasks = Array.from({ length: createdStepsMax + 1 }, () => ({ input: "0", inputChecked: true }));
  await assert.rejects(createTasks(db, template, tasks), {
    name: "RangeError",
    message: "100001 tasks of 1 steps are too many for one call; at most 100000 steps are allowed",
  });
});

test("ids are made in the order of creation", () => {
  const ids = Array.from({ length: 1000 }, newId);
  assert.deepEqual(ids.toSorted(), ids);
});
