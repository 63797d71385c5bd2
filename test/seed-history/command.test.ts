import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import { exitCodeOf, explain } from "../../src/cli/explain.ts";
import { createProgram } from "../../src/cli/program.ts";
import { recordedTerminal } from "../cli/terminals.ts";
import { testDatabase } from "../support/database.ts";
import { onlyRow } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { startTasker } from "../support/tasker-process.ts";

const { url, db } = await testDatabase({ after });

/** Runs `tasker seed-history` in this process. */
async function seedHistory(...args: string[]): Promise<{ code: number; out: string; message: string }> {
  const { terminal, out, err } = recordedTerminal();
  try {
    const program = createProgram({ terminal, env: { DATABASE_URL: url } });
    await program.parseAsync(["seed-history", ...args], { from: "user" });
    return { code: 0, out: out(), message: err() };
  } catch (error) {
    return { code: exitCodeOf(error), out: out(), message: err() + explain(error) };
  }
}

const factsAndIdentities = `select (select count(*) from tasker.ended) as facts,
  (select count(*) from tasker.analytics_identities) as identities`;

test("a process that is killed while it writes leaves nothing, and the next one begins anew", async (t) => {
  const env = { DATABASE_URL: url };
  const first = startTasker(t, ["seed-history", "--tasks", "300000", "--days", "2"], { env });
  await first.printed(/^[\d,]+ of 300,000 tasks/mu);
  first.kill("SIGKILL");
  assert.equal((await first.ended).signal, "SIGKILL");
  const sessions = `select count(*) as n from pg_stat_activity where application_name = 'tasker seed-history'
    and datname = current_database()`;
  const running = async (): Promise<number> => (await onlyRow<{ n: number }>(db, sessions)).n;
  await eventually("its session ends", running, (n) => n === 0);
  assert.deepEqual(await onlyRow(db, factsAndIdentities), { facts: 0, identities: 0 });

  const folder = mkdtempSync(join(tmpdir(), "tasker-truth-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const truth = join(folder, "truth.json");
  const second = startTasker(t, ["seed-history", "--tasks", "50", "--days", "2", "--truth", truth], { env });
  const { code, stdout, stderr } = await second.ended;
  assert.deepEqual([code, stderr], [0, ""]);
  const [, steps = ""] =
    /^50 of 50 tasks, (\d+) steps, [\d,]+ steps\/s\nseeded 50 tasks with \1 ended steps in [\d.]+ m?s \([\d,]+ steps\/s\), and vacuumed in [\d.]+ m?s\n$/u.exec(
      stdout,
    ) ?? assert.fail(stdout);
  const told: unknown = JSON.parse(readFileSync(truth, "utf8"));
  assert.ok(typeof told === "object" && told !== null);
  const { parameters, task_count, ended_step_count, templates, troubles } = told as Record<string, unknown>;
  assert.deepEqual(parameters, { tasks: 50, days: 2, identities: 240, seed: 1 });
  assert.deepEqual([task_count, ended_step_count], [50, Number(steps)]);
  assert.ok(Array.isArray(templates) && templates.length > 30);
  assert.ok(typeof troubles === "object");

  const again = await seedHistory("--seed", "2");
  assert.deepEqual([again.code, again.out], [1, ""]);
  assert.match(again.message, /^the database has tasks, .*--force$/u);
});

test("a wrong command line is told with the range, and ends with 2", async () => {
  const wrong = [
    ["--tasks", "0", "Expected a whole number from 1 to 100000000."],
    ["--days", "4000", "Expected a whole number from 1 to 3650."],
    ["--identities", "many", "Expected a whole number from 22 to 20000."],
    ["--seed", "-1", "Expected a whole number from 0 to 4294967295."],
    ["--until", "yesterday", "Expected a time like 2026-01-01T00:00:00Z."],
  ] as const;
  for (const [option, value, sentence] of wrong) {
    const { code, message } = await seedHistory(`${option}=${value}`);
    assert.equal(code, 2);
    assert.ok(message.includes(sentence), message);
  }
  const future = await seedHistory("--until", "2999-01-01T00:00:00Z");
  assert.deepEqual([future.code, /not in the future/u.test(future.message)], [2, true]);
});

test("--help gives examples", async () => {
  const { code, out } = await seedHistory("--help");
  assert.equal(code, 0);
  assert.match(out, /Examples:\n {2}DATABASE_URL=\S+ tasker seed-history\n/u);
});
