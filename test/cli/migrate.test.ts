import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { describe, test } from "node:test";

import { exitCodeOf, explain } from "../../src/cli/explain.ts";
import { createProgram } from "../../src/cli/program.ts";
import { type Scope, testDatabase } from "../support/database.ts";
import { recordedTerminal } from "./terminals.ts";

const migrations = readdirSync(new URL("../../migrations", import.meta.url)).filter((name) => name.endsWith(".sql"));

type Migrate = (...args: string[]) => Promise<{ code: number; out: string; message: string }>;

/** Runs `tasker migrate` in this process, on an empty database. */
async function setup(
  scope: Scope,
): Promise<{ readonly host: string; readonly migrate: Migrate; readonly url: string }> {
  const { url } = await testDatabase(scope, { migrated: false });
  const migrate: Migrate = async (...args) => {
    const { terminal, out } = recordedTerminal();
    try {
      const program = createProgram({ terminal, env: { DATABASE_URL: url } });
      await program.parseAsync(["migrate", ...args], { from: "user" });
      return { code: 0, out: out(), message: "" };
    } catch (error) {
      return { code: exitCodeOf(error), out: out(), message: explain(error) };
    }
  };
  return { host: new URL(url).host, migrate, url };
}

describe("tasker migrate", () => {
  test("applies what is pending, tells it, and then has nothing to do", async (t) => {
    const { host, migrate } = await setup(t);
    const applied = migrations.map((name) => `applied  ${name}\n`).join("");
    assert.deepEqual(await migrate(), {
      code: 0,
      out: `${applied}${host} is up to date: ${migrations.length} migrations applied\n`,
      message: "",
    });
    assert.deepEqual(await migrate(), { code: 0, out: `${host} is up to date\n`, message: "" });
  });

  test("--status changes nothing and fails while something is pending", async (t) => {
    const { host, migrate } = await setup(t);
    for (let time = 0; time < 2; time++) {
      const { code, out, message } = await migrate("--status");
      assert.equal(code, 1);
      assert.equal(out, migrations.map((name) => `pending  ${name}\n`).join(""));
      assert.equal(message, `${host} lacks ${migrations.length} migrations. Run: tasker migrate`);
    }
    await migrate();
    assert.deepEqual(await migrate("--status"), { code: 0, out: `${host} is up to date\n`, message: "" });
  });

  test("says that the database refuses, or cannot be reached", async (t) => {
    const { url } = await setup(t);
    const failure = async (change: (url: URL) => void): Promise<string> => {
      const changed = new URL(url);
      change(changed);
      const { terminal } = recordedTerminal();
      const program = createProgram({ terminal, env: { DATABASE_URL: changed.href } });
      const error: unknown = await program.parseAsync(["migrate"], { from: "user" }).catch((thrown: unknown) => thrown);
      assert.equal(exitCodeOf(error), 1);
      return explain(error);
    };
    assert.match(
      await failure((to) => (to.pathname = "/nowhere")),
      /^the database refuses the connection: database "nowhere" does not exist\. Correct DATABASE_URL$/u,
    );
    assert.match(
      await failure((to) => (to.password = "wrong")),
      /^the database refuses the connection: password auth/u,
    );
    assert.match(
      await failure((to) => (to.port = "6")),
      /^the database cannot be reached: connect ECONNREFUSED 127\.0\.0\.1:6\. Is it running, and is DATABASE_URL right\?$/u,
    );
  });
});
