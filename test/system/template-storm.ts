import assert from "node:assert/strict";
import type { TestContext } from "node:test";

import fc from "fast-check";

import { type Scope, testDatabase } from "../support/database.ts";
import { onlyRow } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { randomCases } from "../support/random.ts";
import { startRedis } from "../support/redis.ts";
import { startProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { startTemplateMembers, type TemplateMember } from "./template-processes.ts";

const processes = 4;
const readersPerProcess = 5;

type Way = "pass" | "cut" | "blackHole" | "slow";

/** What becomes of each process' way to redis before a registration, and which process registers. */
interface Round {
  readonly ways: readonly Way[];
  readonly registers: number;
}

const rounds = (count: number): fc.Arbitrary<Round[]> =>
  fc.array(
    fc.record({
      ways: fc.array(fc.constantFrom<Way[]>("pass", "pass", "pass", "cut", "blackHole", "slow"), {
        minLength: processes,
        maxLength: processes,
      }),
      registers: fc.nat({ max: processes - 1 }),
    }),
    { minLength: count, maxLength: count },
  );

function take(proxy: TcpProxy, way: Way): void {
  if (way === "slow") proxy.delay(100);
  else proxy[way]();
}

/**
 * Registers a template again and again in turn with four processes that read it and create tasks of it all the time, while their ways
 * to redis break and mend. In Postgres then stands, with each task, which revision had been registered when its creation began.
 */
export async function storm(t: TestContext & Scope, revisions: number): Promise<void> {
  const { db, url } = await testDatabase(t);
  const redis = await startRedis(t);
  const proxies = await Promise.all(Array.from({ length: processes }, () => startProxy(t, redis)));
  const members = await startTemplateMembers(t, url, proxies);
  const [first] = members;
  assert.ok(first !== undefined);
  await first.ask({ do: "register", attempts: 1 });
  const history = fc.sample(rounds(revisions), { ...randomCases(1), numRuns: 1 })[0] ?? [];
  const all = (ask: (member: TemplateMember) => Promise<unknown>): Promise<unknown> => Promise.all(members.map(ask));
  await all((member) => member.ask({ do: "atLeast", revision: 1 }));
  await all((member) => member.ask({ do: "start", readers: readersPerProcess }));

  for (const [index, { ways, registers }] of history.entries()) {
    // In each process tasks are made of what is registered now, and the template is cached where redis can be reached.
    await all((member) => untilReported(member, "tasks are created", ({ createdAtLeast }) => createdAtLeast >= 3));
    for (const [at, { proxy }] of members.entries()) take(proxy, ways[at] ?? "pass");
    await members[registers]?.ask({ do: "register", attempts: index + 2 });
    await all((member) => member.ask({ do: "atLeast", revision: index + 2 }));
  }
  await all((member) => untilReported(member, "tasks are created", ({ createdAtLeast }) => createdAtLeast >= 3));

  for (const { proxy } of members) proxy.pass();
  await all(async (member) => {
    const { hits } = await member.ask({ do: "report" });
    await untilReported(member, "redis answers again", (report) => report.hits >= hits + 10);
  });
  const reports = await Promise.all(members.map((member) => member.ask({ do: "stop" })));
  await all((member) => member.ask({ do: "end" }));

  assert.deepEqual(
    reports.flatMap(({ failures }) => failures),
    [],
  );
  const found = await onlyRow<{ tasks: number; old: number; revisions: number; newest: number }>(
    db,
    `select count(*)::int as tasks, count(*) filter (where r.revision < t.correlation_id::int)::int as old,
      count(distinct r.revision)::int as revisions, max(r.revision) as newest
      from tasker.tasks t join tasker.named_task_revisions r on r.id = t.revision_id`,
  );
  t.diagnostic(`${found.tasks} tasks of ${found.revisions} revisions`);
  assert.equal(found.old, 0, "tasks were made of a revision that was old when their creation began");
  assert.equal(found.newest, revisions + 1);
  assert.equal(found.revisions, revisions + 1, "each revision was used");
  assert.equal(
    found.tasks,
    reports.reduce((sum, { created }) => sum + created, 0),
  );
  await assertNothingIsStale(redis.admin, db);
}

type Report = Awaited<ReturnType<TemplateMember["ask"]>>;

function untilReported(member: TemplateMember, what: string, isSo: (report: Report) => boolean): Promise<Report> {
  return eventually(what, () => member.ask({ do: "report" }), isSo);
}

/** What redis holds is the current revision, or nothing: somebody may just have deleted it. */
async function assertNothingIsStale(
  admin: { get(key: string): Promise<string | null> },
  db: Parameters<typeof onlyRow>[0],
): Promise<void> {
  const { id } = await onlyRow<{ id: number }>(db, "select current_revision_id as id from tasker.named_tasks");
  const cached = await admin.get("storm:template:system:stormed:1.0.0");
  assert.match(cached ?? `"revisionId":${id},`, new RegExp(`"revisionId":${id}\\D`, "u"));
}
