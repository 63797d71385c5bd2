import { randomInt } from "node:crypto";

const scale = numberFrom("TASKER_TEST_RUNS_SCALE") ?? 0.1;
const seed = numberFrom("TASKER_TEST_SEED") ?? announce(randomInt(0x7fffffff));

/** How often to repeat a random case: `full` times in a long run, a share of that (TASKER_TEST_RUNS_SCALE), at least once. */
export function runs(full: number): number {
  return Math.max(1, Math.round(full * scale));
}

/**
 * Parameters of `fc.assert`: the scaled number of cases, and the run's seed, which is printed. `TASKER_TEST_SEED` repeats a
 * run; the counterexample's `path`, which fast-check prints, narrows it to the one case.
 */
export function randomCases(full: number): { numRuns: number; seed: number } {
  return { numRuns: runs(full), seed };
}

function numberFrom(variable: string): number | undefined {
  const text = process.env[variable];
  if (text === undefined || text === "") return undefined;
  const value = Number(text);
  if (!Number.isFinite(value)) throw new Error(`${variable} should be a number, got ${JSON.stringify(text)}`);
  return value;
}

/** Only a file that runs without the runner gets here: the runner chooses and prints the seed of all files. */
function announce(chosen: number): number {
  console.log(`random cases: TASKER_TEST_SEED=${chosen} repeats them`);
  return chosen;
}
