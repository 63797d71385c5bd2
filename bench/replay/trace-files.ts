import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { environment } from "../../src/config/environment.ts";

const repository = join(import.meta.dirname, "..", "..");

/** The folder of recorded executions: TASKER_TEST_TRACES, or `traces` in the folder `shared` beside the repository. */
export function tracesFolder(): string {
  const given = environment()["TASKER_TEST_TRACES"];
  return given === undefined || given === "" ? join(repository, "..", "shared", "traces") : given;
}

/** The recorded executions by file name, in its order; undefined when there is no such folder. */
export function traceFiles(folder = tracesFolder()): string[] | undefined {
  if (!existsSync(folder)) return undefined;
  return readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .toSorted()
    .map((name) => join(folder, name));
}
