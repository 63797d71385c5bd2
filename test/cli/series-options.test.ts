import assert from "node:assert/strict";
import { test } from "node:test";

import { exitCodeOf } from "../../src/cli/explain.ts";
import { createProgram } from "../../src/cli/program.ts";
import { recordedTerminal } from "./terminals.ts";

test("what a time series cannot show is refused before anything is asked", async () => {
  const step = ["--namespace", "a", "--task-name", "b", "--template-version", "1", "--step-name", "c"];
  for (const args of [["timeseries"], ["step", ...step]]) {
    for (const hours of ["0", "8761", "x"]) {
      const { terminal, err } = recordedTerminal();
      const program = createProgram({ terminal, env: {} });
      const asked = program.parseAsync(["analytics", ...args, "--hours", hours], { from: "user" });
      await assert.rejects(asked, (error) => exitCodeOf(error) === 2);
      assert.match(err(), /Expected a whole number from 1 to 8760/u);
    }
  }
});
