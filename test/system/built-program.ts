import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

import type { Scope } from "../support/database.ts";
import type { Program } from "./chaos-workers.ts";

const root = join(import.meta.dirname, "../..");

/**
 * The `tasker worker` command with modules of tests, compiled: a process starts in less than half the time that the sources take,
 * which counts when it is done hundreds of times. Its folder is within node_modules, for the packages; gone after the scope.
 *
 * @param modules paths from the repository's root, without their ending
 * @returns the program for each of them
 */
export async function buildWorkers(scope: Scope, modules: readonly string[]): Promise<Program[]> {
  const cache = join(root, "node_modules", ".cache");
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, "tasker-test-"));
  scope.after(async () => rmSync(folder, { recursive: true, force: true }));
  const project = join(folder, "tsconfig.json");
  const files = ["src/main", ...modules].map((file) => join(root, `${file}.ts`));
  const typeRoots = [join(root, "node_modules/@types")];
  const compilerOptions = { noEmit: false, rootDir: root, outDir: folder, typeRoots };
  writeFileSync(project, JSON.stringify({ extends: join(root, "tsconfig.json"), compilerOptions, include: [], files }));
  await promisify(execFile)(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", project]);
  for (const name of ["package.json", "migrations", "config"]) symlinkSync(join(root, name), join(folder, name));
  const main = join(folder, "src/main.js");
  return modules.map((module) => ({ args: [main, "worker", "--tasks", join(folder, `${module}.js`)] }));
}
