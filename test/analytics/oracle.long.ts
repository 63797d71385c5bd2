import { test } from "node:test";

import { randomCases } from "../support/random.ts";
import { answersEqualOracle } from "./oracle-questions.ts";

const { numRuns, seed } = randomCases(6);

for (let run = 0; run < numRuns; run++) {
  const parameters = { tasks: 1500, days: 24, identities: 40 + 10 * run, seed: (seed + run) >>> 0 };
  test(`every field of both answers is the oracle's: ${JSON.stringify(parameters)}`, async (t) => {
    await answersEqualOracle(t, parameters, 18);
  });
}
