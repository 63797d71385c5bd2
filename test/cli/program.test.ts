import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { Command } from "commander";

import { exitCodeOf, explain } from "../../src/cli/explain.ts";
import { createProgram } from "../../src/cli/program.ts";
import { recordedTerminal } from "./terminals.ts";

/** Runs a command line in this process; only such that end before anything starts. */
async function run(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ code: number; out: string; err: string; message: string }> {
  const { terminal, out, err } = recordedTerminal();
  try {
    await createProgram({ terminal, env }).parseAsync([...args], { from: "user" });
    return { code: 0, out: out(), err: err(), message: "" };
  } catch (error) {
    return { code: exitCodeOf(error), out: out(), err: err(), message: explain(error) };
  }
}

function commandPaths(command: Command, path: readonly string[] = []): string[][] {
  return [[...path], ...command.commands.flatMap((child) => commandPaths(child, [...path, child.name()]))];
}

describe("--help", () => {
  const { terminal } = recordedTerminal();
  for (const path of commandPaths(createProgram({ terminal, env: {} }))) {
    test(`tasker ${path.join(" ")} tells its options and gives examples`, async () => {
      const { code, out, err } = await run([...path, "--help"]);
      assert.equal(code, 0);
      assert.equal(err, "");
      assert.match(out, new RegExp(`^Usage: ${["tasker", ...path].join(" ")} \\[options\\]`, "u"));
      assert.match(out, /\nExamples:\n/u);
      assert.match(out, /--debug +log everything/u);
    });
  }
});

describe("a wrong command line", () => {
  const cases = [
    { args: [], says: /^Usage: tasker/u },
    { args: ["analytics"], says: /^Usage: tasker analytics/u },
    { args: ["analitics"], says: /unknown command 'analitics'\n\(Did you mean analytics\?\)/u },
    { args: ["analytics", "performence"], says: /Did you mean performance\?/u },
    { args: ["dev", "--prot", "1"], says: /unknown option '--prot'\n\(Did you mean --port\?\)/u },
    { args: ["dev", "extra"], says: /too many arguments for 'dev'/u },
    { args: ["dev", "--port", "abc"], says: /'abc' is invalid\. Expected an integer from 0 to 65535/u },
    { args: ["dev", "--port", "70000"], says: /'70000' is invalid/u },
    { args: ["dev", "--port"], says: /argument missing/u },
    { args: ["dev", "--log-level", "loud"], says: /Expected one of debug, info, warn, error, silent/u },
    { args: ["worker"], says: /required option '--tasks <module>' not specified/u },
    { args: ["worker", "--tasks", "x", "--concurrency", "0"], says: /Expected an integer from 1 to 1000/u },
    { args: ["analytics", "performance", "--hours", "9999"], says: /Expected a whole number from 0 to 8760/u },
    { args: ["analytics", "bottlenecks", "--limit", "1.5"], says: /Expected a whole number from 1 to 100/u },
    { args: ["analytics", "bottlenecks", "--sort", "name"], says: /Allowed choices are average_duration/u },
    { args: ["analytics", "performance", "--url", "ftp://x"], says: /Expected a URL like http/u },
  ];
  for (const { args, says } of cases) {
    test(`tasker ${args.join(" ")} ends with 2 and says why`, async () => {
      const { code, out, err } = await run(args);
      assert.equal(code, 2);
      assert.equal(out, "");
      assert.match(err, says);
    });
  }

  test("a data folder makes no sense beside a database of one's own", async () => {
    const { code, message } = await run(["dev", "--data-dir", "x"], { DATABASE_URL: "postgres://localhost/x" });
    assert.equal(code, 2);
    assert.match(message, /no embedded Postgres for --data-dir/u);
  });
});

describe("what cannot be done", () => {
  test("serve, worker and migrate want a database, and say how to give one", async () => {
    for (const args of [["serve"], ["worker", "--tasks", "x"], ["migrate"], ["migrate", "--status"]]) {
      const { code, message } = await run(args);
      assert.equal(code, 1);
      assert.match(message, new RegExp(`^tasker ${args[0]} needs a database: DATABASE_URL=postgres://`, "u"));
    }
  });

  test("a wrong configuration is told with every problem there is", async () => {
    const { code, message } = await run(["dev"], { TASKER_HTTP_PROT: "1", TASKER_WORKER_CONCURRENCY: "many" });
    assert.equal(code, 1);
    assert.match(message, /did you mean TASKER_HTTP_PORT\?[^]*worker\.concurrency/u);
  });

  test("a password in the message of an error is not shown", () => {
    assert.match(explain(new Error("no postgres://app:secret@db/x")), /^no postgres:\/\/app:\*\*\*@db\/x /u);
  });
});
